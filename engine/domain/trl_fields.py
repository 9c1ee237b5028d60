"""The fields of trl.GRPOConfig that the engine sets itself, and what a run file says instead.

Read by the run file ([trl] refuses them by name) and by the worker. Data only: which other fields there are, TRL itself
is asked (`engine.training.trl_table`).
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.domain.hyperparameters import GENERAL, OPTIONAL
from engine.errors import short, short_name

_RUN = "the engine sets it"

OWNED: Mapping[str, str] = {
    "output_dir": _RUN,
    "max_steps": "search.segment_steps sets it",
    "num_train_epochs": "search.segment_steps says how long a segment is",
    "seed": "search.seed sets it",
    "data_seed": "search.seed sets it",
    "per_device_train_batch_size": "training.micro_batch sets it",
    "gradient_accumulation_steps": "training.batch_size over training.micro_batch sets it",
    "generation_batch_size": "training.batch_size or prompts_per_step, and steps_per_generation, of [space] set it",
    "auto_find_batch_size": "the engine halves micro_batch where memory runs out",
    "bf16": "training.precision sets it",
    "fp16": "training.precision sets it",
    "optim": "training.optimizer sets it",
    "use_cpu": _RUN,
    "use_transformers_continuous_batching": "it would turn the weights that are trained into bf16",
    "use_transformers_paged": "it would turn the weights that are trained into bf16",
    "use_vllm": "training.vllm.mode sets it",
    "vllm_mode": "training.vllm.mode sets it",
    "vllm_gpu_memory_utilization": "training.vllm.memory_share sets it",
    "vllm_max_model_length": "training.vllm.max_model_length sets it",
    "vllm_tensor_parallel_size": "training.vllm.tensor_parallel_size sets it",
    "vllm_enable_sleep_mode": "training.vllm.sleep sets it",
    "vllm_importance_sampling_correction": "training.vllm.importance_sampling_mode sets it",
    "vllm_importance_sampling_mode": "training.vllm.importance_sampling_mode sets it",
    "vllm_importance_sampling_clip_max": "training.vllm.importance_sampling_clip_max sets it",
    "vllm_importance_sampling_cap": "training.vllm.importance_sampling_clip_max sets it",
    "vllm_server_base_url": "training.vllm.host and training.vllm.port set it",
    "vllm_server_host": "training.vllm.host sets it",
    "vllm_server_port": "training.vllm.port sets it",
    "vllm_server_timeout": "training.vllm.timeout_seconds sets it",
    "vllm_group_port": "training.vllm.group_port sets it",
    "chat_template_kwargs": "model.chat_template_kwargs sets it",
    "reward_weights": "the task gives one reward",
    "model_init_kwargs": "the engine loads the model",
    "trust_remote_code": "the engine loads the model",
    "disable_tqdm": _RUN,
    "logging_steps": "every step is logged",
    "logging_strategy": "every step is logged",
    "logging_first_step": "every step is logged",
    "logging_nan_inf_filter": _RUN,
    "log_completions": "completions are in the run's database",
    "report_to": "metrics are in the run's database",
    "remove_unused_columns": _RUN,
    "shuffle_dataset": "the engine draws the prompts of a segment",
    "dataloader_drop_last": _RUN,
    "do_train": _RUN,
    "do_eval": "the engine scores checkpoints: [evaluation]",
    "do_predict": _RUN,
    "eval_strategy": "the engine scores checkpoints: [evaluation]",
    "eval_steps": "the engine scores checkpoints: [evaluation]",
    "save_strategy": "evaluation.checkpoints sets it",
    "save_steps": "evaluation.checkpoints sets it",
    "save_total_limit": "training.keep_checkpoints sets it",
    "save_only_model": _RUN,
    "load_best_model_at_end": "the search decides what is trained on",
    "resume_from_checkpoint": "the engine resumes segments",
    "push_to_hub": "`llmzero export` writes the policy",
}
"""Field → what sets it."""

TEMPLATE_ARGUMENTS = frozenset({
    "messages", "conversation", "chat_template", "tools", "documents", "add_generation_prompt",
    "continue_final_message", "tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict",
    "return_assistant_tokens_mask", "tokenizer_kwargs",
})  # fmt: skip
"""Arguments of transformers' apply_chat_template that are no variables of a template."""


def not_in_table(name: str, value: object) -> str:
    """Why a field cannot stand in [trl], and what stands for it; "" where it can, as far as it is one of TRL's."""
    if name in GENERAL or name in OPTIONAL:
        return f"{name} is a hyperparameter: [space.{name}] fixed = {short(value)} sets it"
    return f"{short_name(name)} cannot be set here: {OWNED[name]}" if name in OWNED else ""
