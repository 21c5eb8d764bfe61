// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// A token that tells who receives it, in the middle of the transfer.
contract HookToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    uint256 public totalSupply;

    function mint(address to, uint256 amount) external {
        totalSupply += amount;
        balanceOf[to] += amount;
        _tell(to);
    }

    function burn(uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        totalSupply -= amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        _tell(to);
    }

    function _tell(address to) private {
        if (to.code.length == 0) return;
        // Most receivers have no such function: their refusal is no matter.
        (bool done, ) = to.call(abi.encodeCall(Thief.received, ()));
        done;
    }
}

/// Calls a contract once more while it is being paid by it.
contract Thief {
    address public target;
    bytes public again;
    uint256 public attempts;
    uint256 public successes;
    bytes4 public refusal;

    /// Call a contract; while `again_` is not empty every payment is answered with it.
    function run(address target_, bytes calldata data, bytes calldata again_) external {
        target = target_;
        again = again_;
        (bool done, bytes memory answer) = target_.call(data);
        if (!done) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        delete again;
    }

    /// Answer a payment.
    function received() external {
        if (again.length == 0) return;
        attempts++;
        (bool done, bytes memory answer) = target.call(again);
        if (done) successes++;
        else refusal = bytes4(answer);
    }
}
