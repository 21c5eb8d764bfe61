"""A behaviour that lives outside the house."""

from fedstake import Submission, WorkerBehaviour


class SignFlip(WorkerBehaviour):
    """Sends the opposite step."""

    name = "sign-flip"
    summary = "sends global - (trained - global)"
    reference = "test"

    def submit(self, seen):
        return Submission(2 * seen.global_models - seen.updates, seen.samples, seen.epochs)
