"""Compensation: undo what a failed operation has done, and the completed steps of a failed saga."""
