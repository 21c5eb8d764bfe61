"""The bundled dev chain: the real Asset Hub runtime, executed locally by Chopsticks. No consensus, no peers, no state root."""
