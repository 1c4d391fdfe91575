"""Common parts of services that take pictures and name what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oracles.errors import AnswerError
from oracles.oracle import Feedback, OracleSpec
from oracles.remote.descriptor import Endpoint
from oracles.remote.image_encoding import Picture
from oracles.remote.json_text import kind, numbers
from oracles.remote.labels import Labels, Ranked
from oracles.remote.messages import Reply, Request
from oracles.remote.wire_protocol import Parsed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class RankedReply:
    """Contents of a reply.

    Attributes:
        ranked: for each image the labels with their probabilities.
        identity: of the model, by field.
    """

    ranked: list[Ranked]
    identity: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureProtocol:
    """Pictures in, ranked lists of labels out.

    Args:
        spec: of the oracle behind it.
        labels: of the service.
        picture: how images become pictures.
        compose: from pictures to a request.
        understand: from a reply and the number of images to what it says; raises as `WireProtocol.parse`.
    """

    spec: OracleSpec
    labels: Labels
    picture: Picture
    compose: Callable[[list[bytes]], Request]
    understand: Callable[[Reply, int], RankedReply]

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.picture.description

    def request(self, images: Tensor) -> Request:
        """The request about these pictures."""
        return self.compose(self.picture.files(images))

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The labels in the reply, and what it says of the model."""
        found = self.understand(reply, images)
        return Parsed(self.labels.from_ranked(found.ranked, self.spec), found.identity)


def picture_protocol(
    endpoint: Endpoint,
    picture: Picture,
    compose: Callable[[list[bytes]], Request],
    understand: Callable[[Reply, int], RankedReply],
    *,
    max_batch: int = 1,
    details: Mapping[str, object] | None = None,
) -> PictureProtocol:
    """The protocol of a service that answers with ranked labels, free words where the user lists none.

    Args:
        endpoint: the service.
        picture: how images become pictures.
        compose: as in `PictureProtocol`.
        understand: as in `PictureProtocol`.
        max_batch: most pictures in a request.
        details: what changes answers besides the pictures, by name.
    """
    labels = endpoint.labels()
    spec = endpoint.spec(
        labels,
        feedback=Feedback.TOP_K,
        encoding=picture.identity,
        eight_bit=True,
        max_batch=max_batch,
        details=details,
    )
    return PictureProtocol(spec=spec, labels=labels, picture=picture, compose=compose, understand=understand)


def ranked(entries: object, label: str, score: str, *, most: float = 1.0) -> Ranked:
    """Labels with probabilities from a list of objects.

    Args:
        entries: the list; None is an empty one, as services leave out what is empty.
        label: name of the member with the label.
        score: name of the member with the score.
        most: the highest score that there can be, which stands for probability 1.

    Raises:
        AnswerError: another form.
    """
    objects: list[Any] = [] if entries is None else entries if isinstance(entries, list) else [entries]
    if not all(isinstance(entry, dict) for entry in objects):
        raise AnswerError(f"the reply should hold a list of objects with {label!r} and {score!r}, got {kind(entries)}")
    scores = numbers([entry.get(score) for entry in objects])
    return [(entry.get(label), value / most) for entry, value in zip(objects, scores, strict=True)]
