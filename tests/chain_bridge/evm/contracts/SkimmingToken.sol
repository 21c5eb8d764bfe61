// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// A token that keeps a unit of every transfer.
contract SkimmingToken {
    mapping(address => uint256) public balanceOf;
    uint256 public totalSupply;

    function mint(address to, uint256 amount) external {
        totalSupply += amount;
        balanceOf[to] += amount;
    }

    function approve(address, uint256) external pure returns (bool) {
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount - 1;
        totalSupply -= 1;
        return true;
    }
}
