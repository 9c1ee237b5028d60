"""The run file: defaults, a round trip, and one line for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError, one_line
from engine.run.config import RunConfig, load, parse
from engine.run.edits import edited

LEAST = '[task]\nname = "knights"\n'


def mistake(text: str) -> str:
    with pytest.raises(UserError) as caught:
        parse(text, source="f.toml", default_name="x")
    line = str(caught.value)
    assert line.startswith("f.toml: ")
    assert "\n" not in line
    return line


def test_the_least_file_has_every_default() -> None:
    config = parse(LEAST, default_name="mine")
    assert config.name == "mine"
    assert config.budget.steps == 2000
    assert config.search.segment_steps == 50
    assert config.gate.mode == "auto"


@pytest.mark.parametrize("limit", ["gpu_hours", "minutes", "nodes"])
def test_another_limit_stands_alone_where_no_steps_are_given(limit: str) -> None:
    assert parse(f"{LEAST}[budget]\n{limit} = 7\n", default_name="x").budget.steps == 0
    assert parse(f"{LEAST}[budget]\n{limit} = 7\nsteps = 40\n", default_name="x").budget.steps == 40
    assert parse(f"{LEAST}[budget]\n{limit} = 0\n", default_name="x").budget.steps == 2000


def test_a_written_configuration_reads_back_the_same() -> None:
    config = parse(LEAST + "[space.beta]\nlow = 0.0\nhigh = 0.1\n[gate]\nmode = 'manual'\n", default_name="x")
    assert parse(config.to_toml()) == config


def test_a_name_in_the_file_wins_over_the_default() -> None:
    assert parse('name = "a.b-c_1"\n' + LEAST, default_name="x").name == "a.b-c_1"


@pytest.mark.parametrize("name", ["", ".hidden", "-dash", "a/b", "a b", "../up", "x" * 65, "é", "a\\u0000"])
def test_a_name_that_is_no_directory_name_is_refused(name: str) -> None:
    assert "name" in mistake(f'name = "{name}"\n' + LEAST)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEAST + "[serch]\n", ["unknown key serch", "did you mean search?"]),
        (LEAST + "[search]\nsegmentsteps = 3\n", ["search.segmentsteps", "did you mean segment_steps?"]),
        (LEAST + "[model]\nchat = 'maybe'\n", ["model.chat = 'maybe'", "must be true or false"]),
        (LEAST + "[model]\nchat = false\nsystem_prompt = 'x'\n", ["system_prompt", "need chat = true"]),
        (LEAST + "[model]\nsystem_prompt = 3\n", ["model.system_prompt = 3", "a text"]),
        (LEAST + "[model.chat_template_kwargs]\ntokenize = true\n", ["tokenize is set by the engine"]),
        (LEAST + "[trl]\nmax_steps = 3\n", ["trl", "max_steps cannot be set here: search.segment_steps sets it"]),
        (LEAST + "[trl]\nlearning_rate = 1e-5\n", ["is a hyperparameter: [space.learning_rate] fixed = 1e-05 sets it"]),
        (LEAST + "[trl]\nloss_type = 'dapo'\n", ["loss_type is a hyperparameter: [space.loss_type] fixed = 'dapo'"]),
        (LEAST + "trl = 3\n", ["trl"]),
        (LEAST + "[budget]\nsteps = '60'\n", ["budget.steps = '60'", "must be a whole number from 0 to 1000000000"]),
        (LEAST + "[budget]\nminutes = '1.5'\n", ["budget.minutes = '1.5'", "must be a number from 0 to 1000000000"]),
        (
            LEAST + "[search]\nstrategy = 'replay'\nsettings = { stages = [{ stepz = 3 }] }\n",
            ["unknown key stages.0.stepz; did you mean steps?"],
        ),
        (
            LEAST + "[search]\nstrategy = 'replay'\nsettings = { stages = [{ steps = 0 }] }\n",
            ["stages.0.steps = 0: must be a whole number from 1 to 10000000"],
        ),
        (LEAST + "[gate]\nxyzzy = 3\n", ["gate.xyzzy", "known here: mode, seconds"]),
        ("", ["task is missing"]),
        (LEAST + "[budget]\nsteps = -1\n", ["budget.steps = -1", "from 0 to 1000000000"]),
        (LEAST + f"[budget]\nsteps = {10**22}\n", ["budget.steps = 1", "from 0 to 1000000000"]),
        (LEAST + "[budget]\nminutes = nan\n", ["budget.minutes = nan", "finite"]),
        (LEAST + "[budget]\nsteps = 0\n", ["all four limits are 0"]),
        (LEAST + "[search]\nstrategy = 'best'\n", ["search.strategy = 'best'", "'llmzero'", "'random'"]),
        (LEAST + "[executor]\nworkers = 'two'\n", ["executor.workers = 'two'", "1 to 64"]),
        (LEAST + "[search]\nsegment_steps = 1.5\n", ["segment_steps = 1.5"]),
        (LEAST + "[advisor.options]\nnum_ctx = 5\n", ["advisor.options", "num_ctx = 5", "at least 2048"]),
        (LEAST + "[advisor.options]\nstop = ['x']\n", ["stop = ['x']", "allowed: a number, a text, true or false"]),
        ("task = 'knights'\n", ["task = 'knights'", "must be a table, [task]"]),
        (LEAST + "[space]\nbeta = 3\n", ["space.beta = 3", "must be a table"]),
        (LEAST + "[gate]\nmode = 'x'\n[search]\nseed = -1\n", ["(also wrong: gate.mode)"]),
        (LEAST + f"[advisor]\nmodel = {'9' * 5000}\n", ["not TOML"]),
        (LEAST + f"[gate]\nmode = '{'y' * 500}'\n", ["gate.mode", "…"]),
    ],
)
def test_a_mistake_is_one_line_that_names_key_value_and_what_is_allowed(text: str, words: list[str]) -> None:
    line = mistake(text)
    for word in words:
        assert word in line
    assert len(line) < 400


def test_a_misspelt_key_is_named_before_what_it_leaves_missing() -> None:
    assert "taks" in mistake('[taks]\nname = "knights"\n')


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00"])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.toml: not"):
        load(path)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert load(path, default_name="x").task.name == "knights"


def test_a_directory_is_no_run_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)


@given(st.text())
def test_any_text_is_a_run_or_a_mistake(text: str) -> None:
    said = ""
    try:
        parse(text, default_name="x")
    except UserError as error:
        said = str(error)
    assert one_line(said) == said


def test_a_configuration_cannot_be_changed() -> None:
    config = parse(LEAST, default_name="x")
    with pytest.raises(ValueError, match="frozen"):
        config.name = "y"  # type: ignore[misc]
    assert isinstance(config, RunConfig)


@pytest.mark.parametrize("strategy", ["llmzero", "keep-only", "random-changes"])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("children = -1", "children = -1: must be a whole number from 1 to 1000"),
        ("explore_share = 1.5", "explore_share = 1.5: must be a number from 0 to 1"),
        ("race_segment = 3", "unknown key race_segment; did you mean race_segments?"),
        ("roots = 3", "unknown key roots"),
        ("curriculum_rate = true", "curriculum_rate = true: must be a number from 0 to 1"),
    ],
)
def test_a_setting_of_the_tree_search_is_held_against_its_range(strategy: str, settings: str, words: str) -> None:
    line = mistake(f"{LEAST}[search]\nstrategy = '{strategy}'\n[search.settings]\n{settings}\n")
    assert f"settings of {strategy}: {words}" in line


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("[search]\nsegment_steps = 0", "search.segment_steps = 0: must be a whole number from 1 to 100000"),
        ("[search]\nsegment_steps = 1.5", "search.segment_steps = 1.5: must be a whole number from 1 to 100000"),
        ("[search]\nsegment_steps = true", "search.segment_steps = true: must be a whole number from 1 to 100000"),
        ("[budget]\nminutes = inf", "budget.minutes = inf: must be a finite number from 0 to 1000000000"),
        ("[gate]\nseconds = 0", "gate.seconds = 0: must be a number, above 0 and at most 86400"),
        ("[model]\npath = 3", "model.path = 3: must be a text"),
        ("[model]\nchat = 3", "model.chat = 3: must be true or false"),
        ("[evaluation]\nsoup = 1", "evaluation.soup = 1: must be true or false"),
        ("[evaluation]\nsoup = 'yes'", "evaluation.soup = 'yes': must be true or false"),
        (
            "[training.lora]\ntarget = [1]",
            'training.lora.target = [1]: allowed: "all-linear", or a list of module names',
        ),
        ("[tracking]\nto = 'wandb'", "tracking.to = 'wandb': must be a list"),
        ("[tracking]\nproject = ''", "tracking.project = '': must be a text of at least 1 character"),
        ("[trl]\na = 1979-05-27", "trl.a = '1979-05-27': must be a number, a text, true or false, a list or a table"),
        ("[executor]\nkind = 'x'", "executor.kind = 'x': must be 'local' or 'ray'"),
    ],
)
def test_a_value_is_refused_with_what_is_allowed_in_its_place(table: str, line: str) -> None:
    assert mistake(f"{LEAST}{table}\n") == f"f.toml: {line}"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("rank = -1", "training.lora.rank = -1"),
        ("rank = 8\ndropout = 1", "training.lora.dropout = 1"),
        ("rank = 8\nalpha = nan", "training.lora.alpha"),
        ('rank = 8\ntarget = "linear"', 'allowed: "all-linear", or a list of module names'),
        ('rank = 8\ntarget = ["lm_head"]', "the head (lm_head) cannot have an adapter"),
        ("rank = 8\ntarget = []", "at least one"),
        ("ranks = 8", "unknown key training.lora.ranks; did you mean rank?"),
    ],
)
def test_a_bad_adapter_is_one_line(table: str, said: str) -> None:
    assert said in mistake(LEAST + f"[training.lora]\n{table}\n")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('mode = "fast"', "training.vllm.mode = 'fast': must be 'off', 'colocate' or 'server'"),
        ("memory_share = 1.0", "training.vllm.memory_share = 1.0: must be a number, above 0 and below 1"),
        ("max_model_length = -1", "training.vllm.max_model_length = -1"),
        ("sleep = 3", "training.vllm.sleep = 3"),
        ('mode = "colocate"\ntensor_parallel_size = 2', 'tensor_parallel_size = 2 needs mode = "server"'),
        (
            'importance_sampling_mode = "token"',
            "importance_sampling_mode = 'token': must be 'off'",
        ),
        ("importance_sampling_clip_max = 0", "training.vllm.importance_sampling_clip_max = 0"),
        ('host = "http://10.0.0.7:8000"', 'allowed: a name or an address such as "10.0.0.7", without http:// and port'),
        ("port = 70000", "training.vllm.port = 70000: must be a whole number from 1 to 65535"),
        ("groupport = 1", "unknown key training.vllm.groupport; did you mean group_port?"),
        (
            'mode = "server"\n[executor]\nworkers = 2',
            'executor.workers = 2 needs training.vllm.mode = "colocate" or "off"',
        ),
        ("[trl]\nvllm_server_port = 1", "vllm_server_port cannot be set here: training.vllm.port sets it"),
    ],
)
def test_a_bad_vllm_is_one_line(table: str, said: str) -> None:
    line = mistake(LEAST + f"[training.vllm]\n{table}\n")
    assert said in line
    assert "\n" not in line


def test_a_text_is_the_mode_of_vllm_and_an_older_runs_mode_is_no_edit() -> None:
    config = parse(LEAST + '[training]\nvllm = "colocate"\n', default_name="x")
    assert (config.training.vllm.mode, config.training.vllm.memory_share) == ("colocate", 0.3)
    assert "training.vllm = 'fast'" not in mistake(LEAST + '[training]\nvllm = "fast"\n')
    before = {"task": {"name": config.task.name}, "name": "x", "training": {"vllm": "colocate"}}
    assert edited(before, config) == {}
    assert edited({**before, "training": {"vllm": "off"}}, config) == {"training.vllm.mode": ("off", "colocate")}
