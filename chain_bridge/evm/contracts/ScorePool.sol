// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fraction, Fractions, IRunToken, Till} from "./Till.sol";

/// DecentralML's pool: a creator's deposit, of which each contributor gets a score's part.
contract ScorePool is Till {
    using Fractions for Fraction;

    /// The parameters of the rule. `snapshot`: parts are of the pool as it was before the call, not
    /// of what is left; `expires`: the last round that is paid, 0 for none.
    struct Terms {
        uint256 pool;
        Fraction engineers;
        Fraction annotators;
        Fraction score;
        bool snapshot;
        uint64 expires;
        address creator;
    }

    address public constant POOL = address(uint160(uint256(keccak256("escrow:contributors"))));
    address public constant ENGINEERS = address(uint160(uint256(keccak256("escrow:engineers"))));
    address public constant ANNOTATORS = address(uint160(uint256(keccak256("escrow:annotators"))));
    bytes32 public constant CREATOR = keccak256("CREATOR");

    Terms public terms;
    bool public funded;
    bool public limited;
    uint64 public lastRound;
    mapping(address => bool) public isContributor;

    constructor(IRunToken token_, address organisation, Terms memory terms_)
        Till(token_, organisation)
    {
        terms = terms_;
        _grantRole(CREATOR, terms_.creator);
    }

    /// Deposit the pool of each party, once.
    function fund() external onlyRole(CREATOR) nonReentrant {
        if (funded) revert Duplicate();
        funded = true;
        uint256 engineers = terms.engineers.part(terms.pool);
        uint256 annotators = terms.annotators.part(terms.pool);
        _deposit(msg.sender, ENGINEERS, engineers, "pool.funded");
        _deposit(msg.sender, ANNOTATORS, annotators, "pool.funded");
        _deposit(msg.sender, POOL, terms.pool - engineers - annotators, "pool.funded");
    }

    /// Limit rewards to these accounts: `defineDataContributors`.
    function defineContributors(address[] calldata who) external onlyRole(CREATOR) {
        limited = true;
        for (uint256 i = 0; i < who.length; i++) isContributor[who[i]] = true;
    }

    /// Pay those whose updates were accepted in a round, in this order: `rewardDataContributors`.
    function reward(uint64 round, address[] calldata accepted)
        external
        onlyRole(ORGANISATION)
        nonReentrant
    {
        if (round <= lastRound) revert Duplicate();
        if (!funded) revert WrongPhase();
        lastRound = round;
        if (terms.expires != 0 && round > terms.expires) {
            _refund();
            return;
        }
        uint256 pool = held[POOL];
        for (uint256 i = 0; i < accepted.length; i++) {
            if (limited && !isContributor[accepted[i]]) continue;
            uint256 left = held[POOL];
            uint256 amount = terms.score.part(terms.snapshot ? pool : left);
            _pay(POOL, accepted[i], amount < left ? amount : left, "reward.contributor");
        }
    }

    /// Give the creator back what is left.
    function refund() external onlyRole(ORGANISATION) nonReentrant {
        _refund();
    }

    function _refund() private {
        _pay(POOL, terms.creator, held[POOL], "pool.refund");
        _pay(ENGINEERS, terms.creator, held[ENGINEERS], "pool.refund");
        _pay(ANNOTATORS, terms.creator, held[ANNOTATORS], "pool.refund");
    }
}
