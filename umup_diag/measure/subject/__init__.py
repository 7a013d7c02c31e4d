"""The thing under test: whatever a user has, as something to build at any width and to train."""

from umup_diag.measure.subject.default_loss import default_loss, next_token_loss
from umup_diag.measure.subject.subject import Subject

__all__ = ["Subject", "default_loss", "next_token_loss"]
