"""Settings for conversations."""

from pydantic import BaseModel, ConfigDict, Field


class ConversationsSettings(BaseModel):
    """Limits of the context and of turns."""

    model_config = ConfigDict(extra="forbid")

    context_tokens: int = Field(default=8000, ge=100, description="most tokens of the context, estimated")
    context_messages: int = Field(default=200, ge=1, description="newest messages to consider for the context")
    turn_lease: float = Field(
        default=330, gt=0, description="seconds after which an unfinished turn no longer blocks its conversation"
    )
