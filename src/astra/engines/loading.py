"""Loads local models by name: the only place that reads model folders of others.

A folder's own code is never run (`trust_remote_code`), and pickles are read only if they hold
nothing but tensors. Whatever is wrong with a folder is a ConfigError.
"""

from __future__ import annotations

import pickle
import stat
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astra.chat.template import TEMPLATE_ARGS, ChatTemplate
from astra.configs.spelling import option_name
from astra.engines.transformers import TransformersEngine
from astra.errors import ConfigError
from astra.types import Json

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_engine(
    name: str,
    *,
    max_length: int | None = None,
    device: str | None = None,
    deterministic: bool = True,
    template_args: Mapping[str, Json] | None = None,
) -> TransformersEngine:
    """An engine for a model folder or Hugging Face id.

    `device` None: a GPU if there is one. `deterministic`: see `astra.engines.engine`.
    `template_args`: see `load_tokenizer`. Raises ConfigError for a model that cannot be loaded or
    run.
    """
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    gpu = not device.startswith("cpu")
    advice = f"a model folder or a Hugging Face id, or {option_name('base_url')} for an endpoint"
    tokenizer = load_tokenizer(name, advice=advice, template_args=template_args)
    model = load_model(name, dtype=torch.bfloat16 if gpu else torch.float32, advice=advice)
    untyped: Any = model  # its `to` has no types
    untyped = untyped.to(device)
    return TransformersEngine(
        untyped,
        ChatTemplate(tokenizer),
        name=name,
        max_length=max_length,
        deterministic=deterministic,
    )


_TEXTS = (".json", ".jinja", ".txt", ".model")
_TEXT_BYTES = 2**30
"""Largest text of a model folder or checkpoint: the log in the state of a very long run."""
_ADVICE = "a model folder or a Hugging Face id"


def load_tokenizer(
    name: str,
    *,
    advice: str = _ADVICE,
    template_args: Mapping[str, Json] | None = None,
    **options: Any,
) -> PreTrainedTokenizerBase:
    """A model's tokenizer. ConfigError if it can't be loaded; `advice`: what to give instead.

    `template_args`: arguments of its chat template, in place of those that its folder names. Where
    the tokenizer is saved they are named in turn.
    """
    from transformers import AutoTokenizer

    if template_args:
        options[TEMPLATE_ARGS] = dict(template_args)
    with _told(name, advice):
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False, **options)


def load_model(name: str, *, dtype: Any, advice: str = _ADVICE) -> PreTrainedModel:
    """A causal language model with its weights, on the CPU. ConfigError as above, and for models
    that are none."""
    from transformers import AutoModelForCausalLM

    with _told(name, advice):
        _causal_config(name)
        return AutoModelForCausalLM.from_pretrained(
            name, dtype=dtype, attn_implementation="sdpa", trust_remote_code=False
        )


def load_skeleton(name: str) -> PreTrainedModel:
    """The model of a configuration alone, without memory for weights. ConfigError as above."""
    import torch

    with _told(name, _ADVICE), torch.device("meta"):
        return untrained_model(_causal_config(name))


def _causal_config(name: str) -> PretrainedConfig:
    """The configuration of a model. ConfigError unless it is a causal language model's.

    A loss on the next token would teach any other one to copy what it sees.
    """
    from transformers import AutoConfig

    config: PretrainedConfig = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if why := _not_causal(config):
        kind = ", ".join([repr(config.model_type), *(config.architectures or [])])
        raise ConfigError(
            f"{name!r} is no causal language model ({kind}): {why}. What is trained and played "
            "here writes one token after the other, each from those before it"
        )
    return config


def _not_causal(config: PretrainedConfig) -> str:
    """Why a token may depend on later ones, or on something else. Empty if it doesn't."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    if config.is_encoder_decoder:
        return "it reads with an encoder and writes with a decoder"
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return "transformers has none of its type, as with diffusion models and encoders"
    text = config.get_text_config()
    # One that learns by filling gaps sees both sides, unless its configuration says otherwise.
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False):
        return "its tokens see those after them (is_decoder is not set)"
    # "vision" is for the parts of an image.
    if getattr(text, "use_bidirectional_attention", None) in (True, "all"):
        return "its tokens see those after them (use_bidirectional_attention)"
    if getattr(text, "is_causal", True) is False:
        return "its tokens see those after them (is_causal is false)"
    return ""


def untrained_model(config: PretrainedConfig, **options: Any) -> PreTrainedModel:
    """A causal language model with random weights, where the context puts tensors."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config, trust_remote_code=False, **options)


@contextmanager
def reading_weights(name: str) -> Generator[None]:
    """Tell of weights or states in `name` that can't be read safely as a ConfigError."""
    from safetensors import SafetensorError

    _require_plain_files(Path(name))
    try:
        with warnings.catch_warnings():
            # Of a pickle that is refused right after, in PyTorch's own terms.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            yield
    except pickle.UnpicklingError as error:
        # PyTorch's own text advises to load it all the same.
        raise ConfigError(
            f"{name!r} holds a pickle that is damaged or holds more than tensors, so that it could "
            "run code: use weights in safetensors, from a source that you trust"
        ) from error
    except SafetensorError as error:
        raise ConfigError(f"weights in {name!r} are damaged ({error}): copy them again") from error


def _require_plain_files(folder: Path) -> None:
    """Raise ConfigError for files of a local folder that would hang a reader or fill the memory.

    Of weights only the kind is checked: their readers map them, or refuse what is not theirs.
    """
    inside = [*folder.iterdir()] if folder.is_dir() else []
    # One level down as well: templates, and states that DeepSpeed and FSDP write.
    for path in [*inside, *(p for sub in inside if sub.is_dir() for p in sub.iterdir())]:
        try:
            status = path.stat()
        except OSError:  # a link to nothing, which whoever needs it misses
            continue
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise ConfigError(f"{str(path)!r} is a pipe, a socket or a device: remove it")
        if path.suffix in _TEXTS and status.st_size > _TEXT_BYTES:
            raise ConfigError(
                f"{str(path)!r} has more than {_TEXT_BYTES} bytes: this is not a file of a model; "
                "copy the folder again"
            )


@contextmanager
def _told(name: str, advice: str) -> Generator[None]:
    try:
        with reading_weights(name):
            yield
    except ConfigError:
        raise
    # A folder can hold anything: wrong types, other shapes, JSON too deep, files cut off.
    except Exception as error:
        raise ConfigError(
            f"cannot load the model {name!r}: {_wrong(name, error)}. Give {advice}"
        ) from (error)


def _wrong(name: str, error: Exception) -> str:
    """What is wrong with a model. The library's own words are the last resort."""
    folder = Path(name)
    text = " ".join(str(error).split()).removesuffix(".")[:300]
    if folder.is_absolute() and not folder.exists():
        return "there is no such folder"
    if folder.is_dir() and not (folder / "config.json").exists():
        inner = folder / "final"
        hint = f"; that of the run is {str(inner)!r}" if (inner / "config.json").exists() else ""
        return f"the folder holds no config.json, and so no model{hint}"
    if "trust_remote_code" in text:
        return "it has code of its own, which is never run"
    if "weights_only" in text:
        return "its weights are a pickle that can't be read safely; use safetensors"
    if not folder.exists():
        text = f"there is no such folder, and of the hub: {text}"
    return text if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {text}"
