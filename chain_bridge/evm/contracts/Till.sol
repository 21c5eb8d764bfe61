// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

interface IRunToken is IERC20 {
    function mint(address to, uint256 amount) external;

    function burn(uint256 amount) external;
}

/// A part of an amount, as the decimal in the scenario is written: 0.1 is 1 / 10.
struct Fraction {
    uint128 above;
    uint128 below;
}

/// Rounding as in `mechanisms/split.py`.
library Fractions {
    /// Return floor(total * fraction).
    function part(Fraction memory f, uint256 total) internal pure returns (uint256) {
        return (total * f.above) / f.below;
    }

    /// Return ceil(total * fraction): no stake is too small to lose.
    function loss(Fraction memory f, uint256 total) internal pure returns (uint256) {
        return (total * f.above + f.below - 1) / f.below;
    }
}

/// Where a contract keeps the money of others: escrow accounts, each backed unit by unit.
///
/// Escrow accounts have addresses that nobody holds a key of: the last 20 bytes of the hash of
/// their names. Whatever moves in or out is an event with both accounts and a reason.
abstract contract Till is AccessControl, ReentrancyGuard {
    using SafeERC20 for IRunToken;

    bytes32 public constant ORGANISATION = keccak256("ORGANISATION");

    IRunToken public immutable token;
    /// By escrow account.
    mapping(address => uint256) public held;

    /// The zero address stands for issuance (debit) and for burn (credit).
    event Moved(address indexed debit, address indexed credit, uint256 amount, bytes32 reason);

    /// The token took or gave another amount than it was asked to.
    error UnfaithfulToken();
    error NothingToWithdraw();
    error NotMember(address who);
    error Duplicate();
    error WrongPhase();
    error Early();
    error Late();

    constructor(IRunToken token_, address organisation) {
        token = token_;
        _grantRole(DEFAULT_ADMIN_ROLE, organisation);
        _grantRole(ORGANISATION, organisation);
    }

    /// Return what escrow accounts hold, in one answer.
    function holdings(address[] calldata accounts) external view returns (uint256[] memory found) {
        found = new uint256[](accounts.length);
        for (uint256 i = 0; i < accounts.length; i++) {
            found[i] = held[accounts[i]];
        }
    }

    function _deposit(address from, address escrow, uint256 amount, bytes32 reason) internal {
        if (amount == 0) return;
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        if (token.balanceOf(address(this)) != before + amount) revert UnfaithfulToken();
        held[escrow] += amount;
        emit Moved(from, escrow, amount, reason);
    }

    /// Take from an account and give to another at once.
    function _forward(address from, address to, uint256 amount, bytes32 reason) internal {
        if (amount == 0) return;
        emit Moved(from, to, amount, reason);
        token.safeTransferFrom(from, to, amount);
    }

    /// Pay out of an escrow account; to the zero address: destroy.
    function _pay(address escrow, address to, uint256 amount, bytes32 reason) internal {
        if (amount == 0) return;
        held[escrow] -= amount;
        emit Moved(escrow, to, amount, reason);
        if (to == address(0)) {
            token.burn(amount);
        } else {
            token.safeTransfer(to, amount);
        }
    }

    function _issue(address to, uint256 amount, bytes32 reason) internal {
        if (amount == 0) return;
        emit Moved(address(0), to, amount, reason);
        token.mint(to, amount);
    }
}
