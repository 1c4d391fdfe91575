"""Any other JSON API, described in an `oracle.toml`.

url = "https://vision.example.org/classify"
price_per_1000 = 1.5

[request]
body = '{"image": "{image:jpeg-base64:90}", "top": 5}'

[response]
entries = "predictions"
labels = "name"
scores = "confidence"

[response.identity]
version = "model.version"

[polling]
url = "{urls.get}"
done = "status == 'succeeded'"

[headers]
Authorization = "Bearer ${VISION_KEY}"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oracles.errors import SpecError
from oracles.options import TABLE
from oracles.oracle import Feedback, OracleSpec
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.labels import Labels
from oracles.remote.messages import Reply, Request
from oracles.remote.polling import SUCCESSES
from oracles.remote.protocols.rows import answers_from_rows, labels_for
from oracles.remote.protocols.template_polling import PollingOptions
from oracles.remote.protocols.template_request import RequestOptions, Template, compile_template
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.score_unit import ScoreUnit
from oracles.remote.spoken import SpokenLabels, speakable
from oracles.remote.wire_protocol import Parsed, Send
from oracles.usage import Usage

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOptions:
    """Parts of a file that describe the protocol.

    Attributes:
        request: the table `[request]`.
        response: the table `[response]`.
        polling: the table `[polling]`, for answers that come later.
    """

    request: RequestOptions = field(metadata=TABLE)
    response: ResponseOptions = field(metadata=TABLE)
    polling: PollingOptions | None = field(default=None, metadata=TABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateProtocol:
    """Requests by a template, answers by JMESPath.

    Args:
        spec: of the oracle behind it.
        url: that is asked.
        labels: of the server.
        template: of the requests.
        response: where in a reply the answers are.
        unit: of scores.
        spoken: finds labels in words, None where the reply holds labels.
        polling: where an answer that comes later is, None where it is in the first reply.
    """

    spec: OracleSpec
    url: str
    labels: Labels
    template: Template
    response: ResponseOptions
    unit: ScoreUnit
    spoken: SpokenLabels | None = None
    polling: PollingOptions | None = None

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.template.body.encoder.form.description

    @property
    def statuses(self) -> tuple[int, ...]:
        """Statuses of replies with answers: 201 is as good as 200, and 202 says to wait."""
        return (200, 201) if self.polling is None else SUCCESSES

    @property
    def body_secrets(self) -> tuple[str, ...]:
        """Placeholders of secrets that go into bodies."""
        return tuple(self.template.secrets.values())

    @property
    def poll_seconds(self) -> float:
        """Seconds until the first look at an answer."""
        return 0.0 if self.polling is None else self.polling.seconds

    def request(self, images: Tensor) -> Request:
        """The template, filled in."""
        return self.template.request(self.url, images)

    def is_answer(self, reply: Reply, *, first: bool) -> bool:
        """True if a reply holds the answer."""
        return self.polling is None or self.polling.is_answer(reply, first=first)

    def look(self, reply: Reply) -> Request:
        """The request that brings an answer that comes later."""
        assert self.polling is not None, "else every reply is an answer"
        return self.polling.look(reply, self.url)

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """Parsed reply: all that the expressions find.

        Raises:
            AnswerError: no usable answer.
        """
        tree = self.response.tree(reply.body)
        rows = self.response.rows(tree, images, self.spoken)
        if self.spec.feedback is Feedback.TOP_K:
            answers = self.labels.from_ranked(rows, self.spec)
        else:
            answers = answers_from_rows(rows, self.labels, self.spec, self.unit)
        return Parsed(answers, self.response.identify(tree) | self.unit.identity)

    def usage(self, reply: Reply) -> Usage | None:
        """The tokens that a reply tells of, None where it tells none or cannot be read."""
        return self.response.usage(reply.body)


def connect(endpoint: Endpoint, options: TemplateOptions, send: Send) -> TemplateProtocol:
    """The protocol that a file describes; nothing is asked.

    Raises:
        SpecError: request and response do not fit each other.
    """
    template, response = compile_template(options.request), options.response
    if options.request.many and response.answers is None:
        raise SpecError("[response] needs answers where a request holds many images: where the list of answers is")
    form = template.body.encoder.form
    labels = speakable(endpoint) if response.free_text else labels_for(endpoint, response.feedback)
    spec = endpoint.spec(
        labels,
        feedback=response.feedback,
        encoding=form.identity,
        eight_bit=form.eight_bit,
        max_batch=None if options.request.many else 1,
        details={"body": options.request.multipart or options.request.body, "response": response.fingerprint},
    )
    named = None if response.logits is None else response.feedback
    return TemplateProtocol(
        spec=spec,
        url=endpoint.url,
        labels=labels,
        template=template,
        response=response,
        unit=ScoreUnit(named),
        spoken=SpokenLabels(labels=labels, name=endpoint.name) if response.free_text else None,
        polling=options.polling,
    )


DESCRIPTOR = ProtocolDescriptor(
    name="template",
    usage="PATH/oracle.toml",
    summary="any server, described in a file: one of these, or a template of requests and replies for a JSON API",
    options=TemplateOptions,
    connect=connect,
)
