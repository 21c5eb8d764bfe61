// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// The asset of a run: an ERC-20 that its issuers create and that every holder may destroy.
///
/// Any ERC-20 with `mint` and `burn` can stand in its place.
contract RunToken is ERC20, AccessControl {
    bytes32 public constant ISSUER = keccak256("ISSUER");

    constructor(string memory name_, address organisation) ERC20(name_, name_) {
        _grantRole(DEFAULT_ADMIN_ROLE, organisation);
        _grantRole(ISSUER, organisation);
    }

    /// One token is one base unit of the run.
    function decimals() public pure override returns (uint8) {
        return 0;
    }

    function mint(address to, uint256 amount) external onlyRole(ISSUER) {
        _mint(to, amount);
    }

    /// Create what accounts hold at the start.
    function mintMany(address[] calldata to, uint256[] calldata amounts) external onlyRole(ISSUER) {
        for (uint256 i = 0; i < to.length; i++) {
            _mint(to[i], amounts[i]);
        }
    }

    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }

    /// Return what accounts hold, in one answer.
    function balances(address[] calldata accounts) external view returns (uint256[] memory found) {
        found = new uint256[](accounts.length);
        for (uint256 i = 0; i < accounts.length; i++) {
            found[i] = balanceOf(accounts[i]);
        }
    }
}
