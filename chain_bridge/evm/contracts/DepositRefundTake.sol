// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Market} from "./Market.sol";
import {Fraction, IRunToken} from "./Till.sol";

/// Self-assessment: a deposit per datum, back to its author while the model agrees with it, else in
/// parts to those who report it.
contract DepositRefundTake is Market {
    /// The parameters of the rule; waits in units of block time, of which a second has `second`.
    struct Terms {
        bool chainFormula;
        Fraction weight;
        uint256 one;
        uint64 second;
        uint64 refundWait;
        uint64 sweepWait;
        bool inclusive;
        bool ownClock;
    }

    Terms public terms;
    uint64 public last;
    mapping(address => uint64) public lastOf;
    mapping(address => uint256) public good;
    uint256 public goods;

    constructor(
        IRunToken token_,
        address organisation,
        bool dense_,
        int256 rate_,
        uint64 start_,
        Terms memory terms_
    ) Market(token_, organisation, dense_, rate_) {
        terms = terms_;
        last = start_;
    }

    /// Anybody takes what is left of a datum that nobody settled in time.
    function sweep(uint256 number) external nonReentrant {
        if (number >= data.length) revert BadSample();
        Datum storage d = data[number];
        if (d.claimable == 0) revert NothingLeft();
        if (_age(d) < terms.sweepWait) revert TooYoung();
        _take(number, d, d.claimable, "market.sweep", false);
    }

    function price(address who) external view returns (uint256) {
        return _price(who);
    }

    /// floor(60 w / floor(sqrt(dt))) tokens and at least one, from the first second on; or, as the
    /// contracts do, floor(3600 w / max(1, floor(sqrt(dt)))) base units; dt in whole seconds.
    function _price(address who) internal view override returns (uint256) {
        uint64 since = terms.ownClock && lastOf[who] != 0 ? lastOf[who] : last;
        uint256 elapsed = (block.timestamp - since) / terms.second;
        uint256 root = Math.sqrt(elapsed);
        if (terms.chainFormula) {
            uint256 weight = (uint256(terms.weight.above) * terms.one) / terms.weight.below;
            return (3600 * weight) / (root == 0 ? 1 : root);
        }
        if (elapsed < 1) revert TooSoon();
        uint256 whole = (60 * uint256(terms.weight.above)) / (terms.weight.below * root);
        return (whole == 0 ? 1 : whole) * terms.one;
    }

    function _added(address who) internal override {
        if (terms.ownClock) lastOf[who] = uint64(block.timestamp);
        else last = uint64(block.timestamp);
    }

    function _claimable(uint256 number, Datum storage d) internal view override {
        if (d.claimable == 0) revert NothingLeft();
        if (claimedBy[number][msg.sender]) revert Duplicate();
        uint256 age = _age(d);
        if (age < terms.refundWait || (age == terms.refundWait && !terms.inclusive))
            revert TooYoung();
    }

    function _refund(Datum storage d) internal override returns (uint256) {
        good[msg.sender]++;
        goods++;
        return d.claimable;
    }

    /// The part n / N of the deposit: of all refunded data, the reporter's; where that is nothing
    /// or more than is left, all that is left.
    function _report(Datum storage d) internal view override returns (uint256 amount) {
        if (good[msg.sender] == 0) revert Unverified();
        amount = (uint256(d.deposit) * good[msg.sender]) / goods;
        if (amount == 0 || amount > d.claimable) amount = d.claimable;
    }

    function _age(Datum storage d) private view returns (uint256) {
        return block.timestamp - d.time;
    }
}
