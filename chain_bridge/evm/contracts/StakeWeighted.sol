// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRunToken, Till} from "./Till.sol";

/// A pot per round, shared by what workers hold at its start: splitting into identities gains
/// nothing.
contract StakeWeighted is Till {
    uint256 public immutable pot;
    uint64 public round;
    bool public isOpen;
    /// By round and worker: what it held at the start, plus one.
    mapping(uint64 => mapping(address => uint256)) public weights;
    /// Rewards that were not withdrawn: they are issued when they are.
    mapping(address => uint256) public credits;

    constructor(IRunToken token_, address organisation, uint256 pot_)
        Till(token_, organisation)
    {
        pot = pot_;
    }

    /// Open a round: note what its workers hold now.
    function openRound(address[] calldata workers) external onlyRole(ORGANISATION) {
        if (isOpen) revert WrongPhase();
        isOpen = true;
        round++;
        for (uint256 i = 0; i < workers.length; i++) {
            weights[round][workers[i]] = token.balanceOf(workers[i]) + 1;
        }
    }

    /// Credit floor(pot * w / sum of w) to the workers whose updates were accepted.
    function settle(address[] calldata accepted) external onlyRole(ORGANISATION) {
        if (!isOpen) revert WrongPhase();
        isOpen = false;
        uint256 whole;
        for (uint256 i = 0; i < accepted.length; i++) {
            uint256 weight = weights[round][accepted[i]];
            if (weight == 0) revert NotMember(accepted[i]);
            whole += weight;
        }
        for (uint256 i = 0; i < accepted.length; i++) {
            // A second mention of a worker finds no weight.
            uint256 weight = weights[round][accepted[i]];
            if (weight == 0) revert Duplicate();
            weights[round][accepted[i]] = 0;
            credits[accepted[i]] += (pot * weight) / whole;
        }
    }

    /// Have the rewards of finished rounds issued.
    function withdraw() external nonReentrant {
        uint256 owed = credits[msg.sender];
        if (owed == 0) revert NothingToWithdraw();
        credits[msg.sender] = 0;
        _issue(msg.sender, owed, "reward.worker");
    }
}
