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
from oracles.remote.json_text import load
from oracles.remote.labels import Labels
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.rows import answers_from_rows, labels_for
from oracles.remote.protocols.template_request import RequestOptions, Template, compile_template
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.score_unit import ScoreUnit
from oracles.remote.wire_protocol import Parsed, Send

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOptions:
    """Parts of a file that describe the protocol.

    Attributes:
        request: the table `[request]`.
        response: the table `[response]`.
    """

    request: RequestOptions = field(metadata=TABLE)
    response: ResponseOptions = field(metadata=TABLE)


@dataclass(frozen=True, slots=True)
class TemplateProtocol:
    """Requests by a template, answers by JMESPath.

    Args:
        spec: of the oracle behind it.
        url: that is posted to.
        labels: of the server.
        template: of the requests.
        response: where in a reply the answers are.
        unit: of scores.
    """

    spec: OracleSpec
    url: str
    labels: Labels
    template: Template
    response: ResponseOptions
    unit: ScoreUnit

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.template.encoder.form.description

    def request(self, images: Tensor) -> Request:
        """The template, filled in."""
        return Request("POST", self.url, {"Content-Type": self.template.content_type}, self.template.body(images))

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """Parsed reply: all that the expressions find.

        Raises:
            AnswerError: no usable answer.
        """
        tree = load(reply.body)
        rows = self.response.rows(tree, images)
        if self.spec.feedback is Feedback.TOP_K:
            answers = self.labels.from_ranked(rows, self.spec)
        else:
            answers = answers_from_rows(rows, self.labels, self.spec, self.unit)
        return Parsed(answers, self.response.identify(tree) | self.unit.identity)


def connect(endpoint: Endpoint, options: TemplateOptions, send: Send) -> TemplateProtocol:
    """The protocol that a file describes; nothing is asked.

    Raises:
        SpecError: request and response do not fit each other.
    """
    template = compile_template(options.request)
    if options.request.many and options.response.answers is None:
        raise SpecError("[response] needs answers where a request holds many images: where the list of answers is")
    form = template.encoder.form
    labels = labels_for(endpoint, options.response.feedback)
    spec = endpoint.spec(
        labels,
        feedback=options.response.feedback,
        encoding=form.identity,
        eight_bit=form.eight_bit,
        max_batch=None if options.request.many else 1,
        details={"body": options.request.body, "response": options.response.fingerprint},
    )
    named = None if options.response.logits is None else options.response.feedback
    return TemplateProtocol(spec, endpoint.url, labels, template, options.response, ScoreUnit(named))


DESCRIPTOR = ProtocolDescriptor(
    name="template",
    usage="PATH/oracle.toml",
    summary="any server, described in a file: one of these, or a template of requests and replies for a JSON API",
    options=TemplateOptions,
    connect=connect,
)
