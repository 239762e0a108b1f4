"""The records that all parts share. Frozen, closed (`extra="forbid"`), no behaviour with I/O.

Whatever is stored or crosses a process border is a `Record` (pydantic). Ids are content hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, Literal, Self, TypeVar

from astra.databases import Cell as Cell
from astra.databases import Database as Database
from astra.databases import DatabaseEpisode as DatabaseEpisode
from astra.databases import Effect as Effect
from astra.records import Answer as Answer
from astra.records import Json as Json
from astra.records import Language as Language
from astra.records import Record as Record
from astra.records import Scalar as Scalar
from astra.records import canonical_json as canonical_json
from astra.records import content_hash as content_hash
from astra.states import ArenaState as ArenaState
from astra.states import StateGoal as StateGoal
from astra.targets import Matcher as Matcher
from astra.targets import Target as Target
from astra.targets import members_of as members_of

# --- tools -----------------------------------------------------------------------------------


class ToolSchema(Record):
    """What a model sees of a tool: the `function` object of the OpenAI tools format."""

    name: str
    description: str
    parameters: dict[str, Json]
    """JSON Schema of the arguments, `type: object`."""

    def openai(self) -> dict[str, Json]:
        """The document as an entry of the `tools` list of a chat-completions request."""
        return {"type": "function", "function": self.model_dump()}


class Tool(Record):
    """A tool that can be run: its document, Python source, and the data that the source reads."""

    document: ToolSchema
    source: str
    """Python (standard library only) that defines a function named as the document.
    It finds `data` in the global `DATA`."""
    data: Json = None
    domain: str = ""
    language: Language = "en"

    @property
    def name(self) -> str:
        return self.document.name

    @cached_property
    def id(self) -> str:
        return content_hash(self.model_dump())


class GoldCall(Record):
    """A call as it stands in an arena: which tool, with which arguments."""

    tool: str
    arguments: dict[str, Json]


# --- arenas ----------------------------------------------------------------------------------


class Goal(Record):
    """One sub-question: solved by one tool call, or an answer node that needs none."""

    id: str
    question: str
    """Never names what an earlier goal has to find out."""
    answer: Answer
    call: GoldCall | None
    """The gold call; None: an answer node (a leaf that aggregates, not rewarded)."""
    target: Target | None
    """None exactly when `call` is None."""
    depends_on: tuple[str, ...] = ()
    decoys: tuple[dict[str, Json], ...] = ()
    """Arguments of calls to the same tool that are answered, for other entities. They must not
    solve this goal; at least one must have another answer."""
    operation: str = ""


class Scenario(StrEnum):
    """The four shapes of a decomposed question (ASTRA paper, section on decomposed QA)."""

    single_hop = "single_hop"
    """One call."""
    parallel_single_hop = "parallel_single_hop"
    """Several independent calls, at most one answer node."""
    multi_hop = "multi_hop"
    """A chain: every call but the first needs the one before it."""
    parallel_multi_hop = "parallel_multi_hop"
    """A DAG that is neither: branches, at least one of which has depth."""


DistractorOrigin = Literal["high", "medium", "low", "random", "near"]
"""The similarity band that a distractor was drawn from; `random`: from all of them; `near`: written
for the arena, called like one of its tools and about the same table, for other attributes."""


class DistractorReference(Record):
    """A distractor as it stands in `arenas.jsonl` and in an arena's id, its tool named by id.

    The tool itself stands once in the run folder's `tools.jsonl`, however many arenas show it.
    """

    name: str
    tool: str
    """`Tool.id`."""
    band: DistractorOrigin
    similarity: float | None = None
    """As in `Distractor`."""


class Distractor(Tool):
    """An irrelevant tool that an arena shows: a working tool of another arena."""

    band: DistractorOrigin
    similarity: float | None = None
    """Largest per-tool min-max normalised cosine to a tool of the arena; None for random."""

    @cached_property
    def id(self) -> str:
        """The id of the tool alone: it does not depend on the arena that shows it."""
        return content_hash(self.model_dump(exclude={"band", "similarity"}))

    @classmethod
    def of(cls, tool: Tool, band: DistractorOrigin, similarity: float | None = None) -> Distractor:
        """A tool as a distractor."""
        fields = {name: getattr(tool, name) for name in Tool.model_fields}
        distractor = cls(**fields, band=band, similarity=similarity)
        # The same for all arenas that show the tool: computed once.
        vars(distractor)["id"] = tool.id
        return distractor

    def reference(self) -> DistractorReference:
        """The stored form."""
        return DistractorReference(
            name=self.name, tool=self.id, band=self.band, similarity=self.similarity
        )


D = TypeVar("D", Distractor, DistractorReference)


class ArenaRecord(Record, Generic[D]):
    """The fields that an `Arena` and its row in a run folder share."""

    id: str
    """Content hash of everything else but `split`, distractors by their references."""
    question: str
    answer: Answer
    answer_target: Target
    """How a final answer in words is compared; `field` is None."""
    goals: tuple[Goal, ...]
    tools: tuple[Tool, ...]
    distractors: tuple[D, ...] = ()
    scenario: Scenario
    language: Language
    domain: str
    split: Literal["train", "test"]
    state: ArenaState | None = None
    """Of an arena whose tools change a database. None: its tools only read."""
    provenance: dict[str, Json]
    """Where it comes from: `source`, `key` (of the item in its stage), `seed`, tables, …"""

    @property
    def hops(self) -> int:
        """Number of sub-questions, answer nodes included (the paper's count)."""
        return len(self.goals)

    @property
    def key(self) -> str:
        """Key of the stage item that this arena was made from."""
        return str(self.provenance["key"])


class Arena(ArenaRecord[Distractor]):
    """A question, its sub-questions with answers, and every tool an agent sees: complete in itself.

    The answers never enter the sandbox, the prompt or a tool's schema.
    """

    def tool(self, name: str) -> Tool:
        """The arena's own tool of that name. Raises KeyError if there is none."""
        for tool in self.tools:
            if tool.name == name:
                return tool
        raise KeyError(name)

    def row(self) -> ArenaRow:
        """The stored form, in which distractors are references."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in Arena.model_fields}
        references = tuple(distractor.reference() for distractor in self.distractors)
        state = None if self.state is None else self.state.reference()
        return ArenaRow.model_construct(
            None, **fields | {"distractors": references, "state": state}
        )

    @cached_property
    def content_id(self) -> str:
        """The id that the content has. Equal to `id` unless somebody changed one of them."""
        return arena_id(self.row().model_dump(mode="json"))

    @cached_property
    def bare_id(self) -> str:
        """The id that the content has without its distractors."""
        return self.model_copy(update={"distractors": ()}).content_id

    def with_content_id(self) -> Self:
        """The arena under the id that its content has."""
        arena = self.model_copy(update={"id": self.content_id})
        # It does not depend on `id`, so it need not be computed again.
        vars(arena)["content_id"] = self.content_id
        return arena


class ArenaRow(ArenaRecord[DistractorReference]):
    """A row of `arenas.jsonl`."""

    def arena(self, distractors: Iterable[Distractor], database: Database | None = None) -> Arena:
        """The complete arena; `distractors` are the tools of the references, in their order.

        `database`: the one that the row names. None if it names none.
        """
        fields: dict[str, Any] = {name: getattr(self, name) for name in ArenaRow.model_fields}
        fields["distractors"] = tuple(distractors)
        if self.state is not None:
            fields["state"] = self.state.model_copy(update={"database": database})
        return Arena.model_construct(None, **fields)


def arena_id(fields: Mapping[str, Json]) -> str:
    """Content hash of the fields of an `ArenaRow` in JSON form, `id` and `split` left out."""
    content = {name: value for name, value in fields.items() if name not in ("id", "split")}
    # Arenas without a state have had their ids since before there was one.
    if content.get("state") is None:
        content.pop("state", None)
    return content_hash(content)


# --- conversations ---------------------------------------------------------------------------


class ToolCallRequest(Record):
    """A tool call as a model wrote it; `arguments` is its raw JSON text, perhaps malformed."""

    id: str
    tool: str
    arguments: str


class Message(Record):
    """A chat message. `tool_calls` only on assistants, `tool_call_id` only on tool results."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    reasoning: str = ""
    """The model's reasoning where the endpoint returns it apart; never sent back."""
    tool_calls: tuple[ToolCallRequest, ...] = ()
    tool_call_id: str | None = None


class Usage(Record):
    """Tokens as the endpoint reports them; 0 where it reports none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )


class FinishReason(StrEnum):
    """Why a model stopped writing one message."""

    stop = "stop"
    tool_calls = "tool_calls"
    length = "length"
    """The token limit of the message was reached."""
    filtered = "filtered"
    """The endpoint refused or cut the content."""
    unknown = "unknown"
    """A reason this code does not know; the message is used as it is."""


class CallStatus(StrEnum):
    """What became of a call, as the rollout saw it."""

    ok = "ok"
    """The tool ran and returned a value."""
    tool_error = "tool_error"
    """The tool ran and returned a structured error, or raised."""
    unknown_tool = "unknown_tool"
    malformed_arguments = "malformed_arguments"
    """Not a JSON object."""
    schema_violation = "schema_violation"
    transient = "transient"
    """A fault that passes, such as a time-out: nothing was done. Rewards do not count the call."""
    over_limit = "over_limit"
    """One of more calls in a message than are run."""
    host_failure = "host_failure"
    """The host failed; the episode is marked as an infrastructure failure."""


class CallRecord(Record):
    """One call of an episode and what came back."""

    id: str
    turn: int
    """Index of the assistant turn, from 0."""
    tool: str
    arguments: Json
    """Parsed arguments, or the raw text when malformed."""
    status: CallStatus
    result: Json = None
    """What went back to the model, as a JSON value."""
    seconds: float = 0.0
    effect: Effect | None = None
    """What the call changed in the arena's database. None: nothing, or there is none."""


class RecordedCall(Record):
    """A call as a host answered it, in the order in which the calls were made."""

    tool: str
    """Name as it was shown to the agent."""
    arguments: dict[str, Json]
    content: Json
    is_error: bool = False


class ServerStart(Record):
    """What a live server began an episode with."""

    server: str
    """Name of its `mcpServers` entry."""
    state: Literal["fresh", "kept"]
    """fresh: started for this episode, on its own copies of files. kept: it may remember earlier
    episodes, since it was reached and not started, or by the paths in `shared`."""
    files: str | None = None
    """SHA-256 of the files that were copied for it. None: it had none."""
    shared: tuple[str, ...] = ()
    """Paths that it shared with other episodes."""
    calls: tuple[RecordedCall, ...] = ()
    """Calls that its entry says for the start, by the server's names for the tools."""


class StopReason(StrEnum):
    """Why an episode ended. The last three are failures of ours: never scored."""

    answered = "answered"
    """The model wrote a message without calls."""
    turn_limit = "turn_limit"
    length_limit = "length_limit"
    """A message, or the episode, reached its token limit."""
    time_limit = "time_limit"
    refused = "refused"
    """The endpoint filtered the content."""
    model_error = "model_error"
    """The model could not be asked (endpoint down, bad replies), after retries."""
    host_error = "host_error"
    """The host broke (sandbox, server)."""
    internal_error = "internal_error"
    """Anything else of ours."""


class Trajectory(Record):
    """One episode: what was said, called, returned, and why it ended."""

    task: str
    """Id of the task, e.g. of the arena."""
    sample: int = 0
    messages: tuple[Message, ...]
    calls: tuple[CallRecord, ...]
    stop: StopReason
    turns: int
    """Number of assistant messages."""
    usage: Usage = Usage()
    error: str = ""
    """What broke, when `stop` is an infrastructure failure."""
    seconds: float = 0.0

    @property
    def infrastructure_failure(self) -> bool:
        """Whether the episode ended by a failure of ours, so that it is never scored."""
        broken = (StopReason.model_error, StopReason.host_error, StopReason.internal_error)
        return self.stop in broken

    @property
    def answer(self) -> str:
        """The final message's text, or "" when the episode did not end with an answer."""
        if self.stop is StopReason.answered and self.messages:
            return self.messages[-1].content
        return ""
