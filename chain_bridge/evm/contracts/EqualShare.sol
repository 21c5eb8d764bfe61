// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fraction, Fractions, IRunToken, Till} from "./Till.sol";

/// The proof of concept's pool: stake to join, equal shares of the successful at a deadline.
///
/// Where claims are asked for, a reward is paid only if the hash of its payee's wallet was handed
/// in. A platform may take basis points of rewards, a fee to join and a subscription.
contract EqualShare is Till {
    using Fractions for Fraction;

    /// The parameters of the rule; the deadline is a round.
    struct Terms {
        uint256 pool;
        uint256 stake;
        uint64 deadline;
        Fraction fee;
        bool claims;
        address unclaimed;
        uint256 rewardBps;
        uint256 joinFee;
        uint256 subscription;
        uint256 prepaid;
        address platform;
    }

    address public constant POOL = address(uint160(uint256(keccak256("escrow:pool"))));
    address public constant STAKES = address(uint160(uint256(keccak256("escrow:stakes"))));
    address public constant PREPAID = address(uint160(uint256(keccak256("escrow:subscription"))));
    uint256 public constant WHOLE = 10_000;

    Terms private terms;
    address public immutable sponsor;
    bool public funded;
    bool public paid;
    bool public finished;
    uint64 public lastRound;
    address[] public stakers;
    address[] public verified;
    mapping(address => bytes32) public walletOf;
    mapping(address => bool) public staked;
    mapping(address => bool) public isVerified;
    mapping(bytes32 => bool) public claimed;

    event Settled(uint64 indexed round, uint256 accepted);

    constructor(IRunToken token_, address organisation, Terms memory terms_)
        Till(token_, organisation)
    {
        terms = terms_;
        sponsor = organisation;
    }

    /// Return the parameters of the rule.
    function allTerms() external view returns (Terms memory) {
        return terms;
    }

    /// Pay pool and subscription in, once.
    function fund() external onlyRole(ORGANISATION) nonReentrant {
        if (funded) revert Duplicate();
        if (finished) revert WrongPhase();
        funded = true;
        _deposit(sponsor, PREPAID, terms.prepaid, "fee.prepaid");
        _deposit(sponsor, POOL, terms.pool, "pool.funded");
    }

    /// Register with the hash of a wallet, and pay the platform's fee to join.
    function register(bytes32 wallet) external nonReentrant {
        if (walletOf[msg.sender] != 0 || wallet == 0) revert Duplicate();
        walletOf[msg.sender] = wallet;
        _forward(msg.sender, terms.platform, terms.joinFee, "fee.join");
    }

    /// Lock the stake; before the pool is shared out.
    function stakeToJoin() external nonReentrant {
        if (walletOf[msg.sender] == 0) revert NotMember(msg.sender);
        if (staked[msg.sender]) revert Duplicate();
        if (paid) revert Late();
        staked[msg.sender] = true;
        stakers.push(msg.sender);
        _deposit(msg.sender, STAKES, terms.stake, "stake.join");
    }

    /// Settle a round: whose updates were accepted, and the claims that were handed in.
    function settle(uint64 round, address[] calldata accepted, bytes32[] calldata claims)
        external
        onlyRole(ORGANISATION)
        nonReentrant
    {
        if (round <= lastRound) revert Duplicate();
        if (!funded || finished) revert WrongPhase();
        lastRound = round;
        for (uint256 i = 0; i < claims.length; i++) claimed[claims[i]] = true;
        for (uint256 i = 0; i < accepted.length; i++) {
            address who = accepted[i];
            if (!staked[who]) revert NotMember(who);
            if (paid || round > terms.deadline || isVerified[who]) continue;
            isVerified[who] = true;
            verified.push(who);
        }
        if (!paid && round >= terms.deadline) _payOut();
        uint256 left = held[PREPAID];
        uint256 due = terms.subscription < left ? terms.subscription : left;
        _pay(PREPAID, terms.platform, due, "fee.subscription");
        emit Settled(round, accepted.length);
    }

    /// End the task: share out what was not, give back what is left of the subscription.
    function finish() external onlyRole(ORGANISATION) nonReentrant {
        if (finished) revert Duplicate();
        finished = true;
        if (!paid) _payOut();
        _pay(PREPAID, sponsor, held[PREPAID], "fee.back");
    }

    function _payOut() private {
        paid = true;
        for (uint256 i = 0; i < stakers.length; i++) {
            _pay(STAKES, stakers[i], terms.stake, "stake.back");
        }
        // Nothing where the organisation never paid it in: stakes go back all the same.
        uint256 pool = held[POOL];
        uint256 fee = terms.fee.part(pool);
        uint256 share = verified.length == 0 ? 0 : (pool - fee) / verified.length;
        for (uint256 i = 0; i < verified.length; i++) {
            address who = verified[i];
            if (terms.claims && !claimed[walletOf[who]]) {
                _pay(POOL, terms.unclaimed, share, "claim.missing");
                continue;
            }
            uint256 charged = (share * terms.rewardBps) / WHOLE;
            _pay(POOL, terms.platform, charged, "fee.platform");
            _pay(POOL, who, share - charged, "reward.worker");
        }
        _pay(POOL, terms.platform, fee, "fee.platform");
        _pay(POOL, sponsor, held[POOL], "pool.refund");
    }
}
