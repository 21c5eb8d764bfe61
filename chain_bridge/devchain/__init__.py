"""The bundled dev chain: the real Asset Hub runtime, executed locally by Chopsticks.

It has no consensus, no peers and no state root.
"""
