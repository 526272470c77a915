"""How much of a conversation a model reads, and how long a turn may hold it."""

from pydantic import BaseModel, ConfigDict, Field


class ConversationsSettings(BaseModel):
    """Limits of stored conversations."""

    model_config = ConfigDict(extra="forbid")

    context_tokens: int = Field(default=8000, ge=100, description="of a conversation that the model is sent, estimated")
    context_messages: int = Field(default=200, ge=1, description="the newest ones, of which those that fit are sent")
    turn_lease: float = Field(
        default=330, gt=0, description="seconds after which a turn that never ended no longer holds its conversation"
    )
