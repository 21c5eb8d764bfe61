// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRunToken, Till} from "./Till.sol";

/// A market of labelled samples that train a perceptron on the chain; what data cost and who may
/// claim them is for the rules that inherit.
///
/// The perceptron is that of `sim/online/perceptron.py`: fixed point, 1.0 is 10^9. Sparse samples
/// are lists of the features that are present, dense ones come with values and have unit norm.
abstract contract Market is Till {
    struct Datum {
        bytes32 digest;
        address author;
        uint64 time;
        uint8 label;
        uint128 deposit;
        uint128 claimable;
        uint64 claims;
    }

    int256 public constant ONE = 10 ** 9;
    /// How far the squared norm of a dense sample may be from 1.
    int256 public constant SLACK = 100 * ONE;
    address public constant POT = address(uint160(uint256(keccak256("escrow:market"))));

    bool public immutable dense;
    int256 public immutable rate;
    bool public isOpen;
    /// Three weights share a slot: 80 bits are enough for 6 * 10^14.
    int80[] public weights;
    Datum[] public data;
    mapping(uint256 => mapping(address => bool)) public claimedBy;

    event Added(uint256 indexed datum, address indexed author, uint8 label, uint256 cost);
    event Claimed(uint256 indexed datum, address indexed who, bytes32 kind, bool agrees);

    error BadSample();
    error NotUnitNorm();
    error OtherSample();
    error TooSoon();
    error TooLittle();
    error TooYoung();
    error NotAuthor();
    error OwnDatum();
    error Agrees();
    error Disagrees();
    error NothingLeft();
    error Unverified();

    constructor(IRunToken token_, address organisation, bool dense_, int256 rate_)
        Till(token_, organisation)
    {
        dense = dense_;
        rate = rate_;
    }

    // --- the model -------------------------------------------------------------------------------

    /// Append weights of the model, before the market opens.
    function load(int80[] calldata more) external onlyRole(ORGANISATION) {
        if (isOpen) revert WrongPhase();
        for (uint256 i = 0; i < more.length; i++) weights.push(more[i]);
    }

    function open() external onlyRole(ORGANISATION) {
        if (isOpen) revert Duplicate();
        isOpen = true;
        _opened();
    }

    function _opened() internal virtual {}

    /// Return 1 where the weighted sum of a sample is above 0, else 0.
    function predict(uint32[] calldata features, int64[] calldata values)
        public
        view
        returns (uint8)
    {
        int256 sum;
        for (uint256 i = 0; i < features.length; i++) {
            int256 weight = weights[features[i]];
            sum += dense ? weight * values[i] : weight;
        }
        return sum > 0 ? 1 : 0;
    }

    function _learn(uint32[] calldata features, int64[] calldata values, uint8 label) private {
        if (predict(features, values) == label) return;
        int256 step = label == 1 ? rate : -rate;
        for (uint256 i = 0; i < features.length; i++) {
            // Division of signed numbers rounds towards 0.
            int256 change = dense ? (values[i] * step) / ONE : step;
            weights[features[i]] = int80(weights[features[i]] + change);
        }
    }

    function _check(uint32[] calldata features, int64[] calldata values) private view {
        if (values.length != (dense ? features.length : 0)) revert BadSample();
        for (uint256 i = 1; i < features.length; i++) {
            if (features[i] <= features[i - 1]) revert BadSample();
        }
        if (!dense) return;
        int256 norm;
        for (uint256 i = 0; i < values.length; i++) norm += int256(values[i]) * values[i];
        int256 distance = norm - ONE * ONE;
        if (distance > SLACK || distance < -SLACK) revert NotUnitNorm();
    }

    // --- data ------------------------------------------------------------------------------------

    /// Add a datum for at most `offer`; the model learns it at once.
    function add(uint32[] calldata features, int64[] calldata values, uint8 label, uint256 offer)
        external
        nonReentrant
    {
        if (!isOpen) revert WrongPhase();
        if (label > 1) revert BadSample();
        _check(features, values);
        uint256 cost = _price(msg.sender);
        if (offer < cost) revert TooLittle();
        uint256 number = data.length;
        Datum storage d = data.push();
        d.digest = keccak256(abi.encode(features, values));
        d.author = msg.sender;
        d.time = uint64(block.timestamp);
        d.label = label;
        d.deposit = uint128(cost);
        d.claimable = uint128(cost);
        _added(msg.sender);
        emit Added(number, msg.sender, label, cost);
        _deposit(msg.sender, POT, cost, "market.deposit");
        _learn(features, values, label);
    }

    /// The author claims its datum, which the model must agree with.
    function refund(uint256 number, uint32[] calldata features, int64[] calldata values)
        external
        nonReentrant
    {
        Datum storage d = _known(number, features, values);
        if (msg.sender != d.author) revert NotAuthor();
        _claimable(number, d);
        if (predict(features, values) != d.label) revert Disagrees();
        uint256 amount = _refund(d);
        _take(number, d, amount, "market.refund", true);
    }

    /// Another claims a part of a datum that the model does not agree with.
    function report(uint256 number, uint32[] calldata features, int64[] calldata values)
        external
        nonReentrant
    {
        Datum storage d = _known(number, features, values);
        if (msg.sender == d.author) revert OwnDatum();
        _claimable(number, d);
        if (predict(features, values) == d.label) revert Agrees();
        uint256 amount = _report(d);
        _take(number, d, amount, "market.report", false);
    }

    function _known(uint256 number, uint32[] calldata features, int64[] calldata values)
        private
        view
        returns (Datum storage d)
    {
        if (number >= data.length) revert BadSample();
        d = data[number];
        if (keccak256(abi.encode(features, values)) != d.digest) revert OtherSample();
    }

    function _take(uint256 number, Datum storage d, uint256 amount, bytes32 kind, bool agrees)
        internal
    {
        d.claimable -= uint128(amount);
        d.claims++;
        claimedBy[number][msg.sender] = true;
        emit Claimed(number, msg.sender, kind, agrees);
        _pay(POT, msg.sender, amount, kind);
    }

    // --- the rule --------------------------------------------------------------------------------

    /// Return what a datum costs now; refuse one that nobody may add now.
    function _price(address who) internal view virtual returns (uint256);

    /// Note that somebody added a datum.
    function _added(address who) internal virtual {}

    /// Refuse a claim that comes too early or finds nothing.
    function _claimable(uint256 number, Datum storage d) internal view virtual;

    /// Note a refund; return what it pays.
    function _refund(Datum storage d) internal virtual returns (uint256);

    /// Note a report; return what it pays.
    function _report(Datum storage d) internal virtual returns (uint256);
}
