"""The register of claims: who says what about incentives, as a test that anybody can play."""
