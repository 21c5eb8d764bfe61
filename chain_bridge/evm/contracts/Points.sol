// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Market} from "./Market.sol";
import {IRunToken} from "./Till.sol";

/// Karma: data cost nothing; a point for each own datum that the model agrees with. A datum is
/// claimed once: by its author for a point, or by a report that pays nothing.
contract Points is Market {
    uint64 public immutable refundWait;
    mapping(address => uint256) public points;

    constructor(
        IRunToken token_,
        address organisation,
        bool dense_,
        int256 rate_,
        uint64 refundWait_
    ) Market(token_, organisation, dense_, rate_) {
        refundWait = refundWait_;
    }

    function _price(address) internal pure override returns (uint256) {
        return 0;
    }

    function _claimable(uint256, Datum storage d) internal view override {
        if (d.claims != 0) revert Duplicate();
        if (block.timestamp - d.time < refundWait) revert TooYoung();
    }

    function _refund(Datum storage) internal override returns (uint256) {
        points[msg.sender]++;
        return 0;
    }

    function _report(Datum storage) internal pure override returns (uint256) {
        return 0;
    }
}
