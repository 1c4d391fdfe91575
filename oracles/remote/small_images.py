"""Small images at services that refuse them, bill them as larger ones or advise against it (read in November 2026)."""

from __future__ import annotations

from dataclasses import dataclass

_UPSCALE = "say upscale=NUMBER to show each pixel as NUMBER x NUMBER of them, which is then part of the classifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallImages:
    """What a service says of small images.

    Attributes:
        below: pixels of the shorter side for which it says so.
        says: what it says.
        refused: whether it does not answer them.
    """

    below: int
    says: str
    refused: bool = False

    def note(self, height: int, width: int) -> str:
        """What to know of images of this size, empty where there is nothing."""
        if min(height, width) >= self.below:
            return ""
        return f"images are shown as {height} x {width} pixels: {self.says}" + (f"; {_UPSCALE}" if self.refused else "")


AZURE_VISION = SmallImages(
    below=51, says="Azure AI Vision takes those that are larger than 50 x 50 (learn.microsoft.com)", refused=True
)
GOOGLE_VISION = SmallImages(below=480, says="Google advises at least 640 x 480 for Cloud Vision (its supported files)")
ANTHROPIC = SmallImages(
    below=200, says="Anthropic says that answers may be worse where an edge is below 200 (its vision guide)"
)
OPENAI = SmallImages(
    below=512, says="OpenAI bills the tokens of whole tiles, of 512 x 512 with gpt-4o, so a smaller one costs as much"
)
GEMINI = SmallImages(
    below=385, says="Gemini bills all of up to 384 x 384 as one tile, of 258 tokens with Gemini 2 (its token guide)"
)
