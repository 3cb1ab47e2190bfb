"""The documents name only what is there: paths, targets, commands, variables, packages, names in the code."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.utils.module_loading import import_string

ROOT = Path(__file__).resolve().parent.parent
APPS = "config|backoffice|rendering|uploads|drives|billing|accounts|common"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# What looks like a path of the repository and is none: addresses, counts, what is made where the platform runs.
ELSEWHERE = re.compile(r"/|~|var/|logs/|outbox/|static/$|staging/$|blobs/$|\.engines|\.venv|http|\d")


def named(text: str) -> Iterator[str]:
    """Everything in backticks, and each word of an indented block of commands or output."""
    fenced = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for line in fenced.split("\n"):
        if line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def every_name() -> list[tuple[str, str]]:
    found = {
        (path.relative_to(ROOT).as_posix(), name) for path in DOCUMENTS for name in named(path.read_text())
    }
    return sorted(found)


NAMES = every_name()


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, or leads to something in one, as deep as it goes."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            fields = getattr(getattr(found, "_meta", None), "_forward_fields_map", {})
            if not hasattr(found, attribute) and attribute not in fields:
                return False
            found = getattr(found, attribute, None)
        return True
    return False


def test_dotted_names_exist() -> None:
    pattern = re.compile(rf"(?:{APPS})(?:\.\w+)+")
    dotted = [(page, name) for page, name in NAMES if pattern.fullmatch(name) and not is_path(name)]
    assert len(dotted) > 50
    assert [item for item in dotted if not exists(item[1])] == []


def is_path(name: str) -> bool:
    return (ROOT / name).exists()


def paths_in(name: str) -> Iterator[str]:
    """Paths of the repository that a name or a command line holds."""
    for word in re.split(r"\s+", name):
        word = word.partition("::")[0]
        if re.fullmatch(r"[\w.*-]+(?:/[\w.*-]*)+", word) or re.fullmatch(
            r"[\w.-]+\.(md|py|toml|yaml|in|txt)", word
        ):
            yield word


def test_paths_exist() -> None:
    checked, missing = 0, []
    for page, name in NAMES:
        for path in paths_in(name):
            if ELSEWHERE.match(path):
                continue
            checked += 1
            # A page may name its neighbours, as docs/engines.md does with the scripts of its engine.
            if not any(ROOT.glob(path.rstrip("/"))) and not any(
                ROOT.glob(f"rendering/engines/blender/{path}")
            ):
                missing.append((page, path))
    assert checked > 40
    assert missing == []


def test_linked_files_exist() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), (document.name, target)


def test_tests_that_are_named_exist() -> None:
    found = [name.split("::") for _page, name in NAMES if "::" in name]
    assert found
    for path, function in found:
        assert f"def {function}(" in (ROOT / path).read_text(), (path, function)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    asked = {word for _page, name in NAMES for word in re.findall(r"(?:^|\s)make ([a-z]+)", name)}
    assert {"demo", "test", "run", "lint", "lock"} <= asked
    assert asked <= targets


def test_management_commands_exist() -> None:
    asked = {word for _page, name in NAMES for word in re.findall(r"manage\.py ([a-z_]+)", name)}
    assert {"credit", "migrate", "render_node"} <= asked
    assert asked <= set(get_commands())


def test_adrs_are_numbered_and_short() -> None:
    records = sorted(ROOT.glob("docs/adr/*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        lines = record.read_text().splitlines()
        assert lines[0].startswith(f"# {int(record.name[:4])}. ")
        assert len(lines) < 40


# --- The two README --------------------------------------------------------------------------------------------


def parts(path: str) -> dict[str, list[str]]:
    text = (ROOT / path).read_text()
    return {
        "headings": [line.partition(" ")[0] for line in text.split("\n") if re.match(r"#+ ", line)],
        # Commands and output are the same words in both.
        "blocks": [line for line in text.split("\n") if line.startswith("    ")],
        "table": re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE),
        "pictures": re.findall(r"!\[[^]]*\]\(([^)]+)\)", text),
    }


def test_both_readmes_say_the_same() -> None:
    assert parts("README.md") == parts("README.zh-CN.md")
    assert "(README.zh-CN.md)" in (ROOT / "README.md").read_text()
    assert "(README.md)" in (ROOT / "README.zh-CN.md").read_text()


# --- Variables -------------------------------------------------------------------------------------------------


def settings_variables() -> dict[str, ast.expr | None]:
    """Variables that config/settings.py reads, with the expression of their default."""
    found: dict[str, ast.expr | None] = {}
    for node in ast.walk(ast.parse((ROOT / "config/settings.py").read_text())):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        function = ast.unparse(node.func)
        if function == "secret" or (function.startswith("env.") and function != "env.read_env"):
            default = next((word.value for word in node.keywords if word.arg == "default"), None)
            found[str(node.args[0].value)] = default
    return found


def example_variables() -> dict[str, tuple[str, bool]]:
    """Variables of .env.example: the value, and whether the line is a comment that shows a default."""
    lines = (ROOT / ".env.example").read_text().split("\n")
    matches = [re.fullmatch(r"(# )?([A-Z][A-Z0-9_]*)=(.*)", line) for line in lines]
    return {match[2]: (match[3], bool(match[1])) for match in matches if match}


def test_every_variable_has_its_line() -> None:
    settings = set(settings_variables())
    assert len(settings) > 40
    # PORT is of `make run`; what compose.yaml fills in is of no concern to the platform.
    composed = set(re.findall(r"\${(\w+)", (ROOT / "compose.yaml").read_text()))
    assert set(example_variables()) == settings | composed | {"PORT"}


def test_defaults_are_those_of_the_settings() -> None:
    shown = example_variables()
    compared = 0
    for name, expression in settings_variables().items():
        value, is_default = shown[name]
        if expression is None or not is_default:
            continue
        try:
            # Of a choice by DEBUG the production side counts: this file is about production.
            default = eval(ast.unparse(expression), {"__builtins__": {}}, {"DEBUG": False})  # noqa: S307
        except (NameError, AttributeError, KeyError):
            continue  # follows from other settings
        text = ",".join(default) if isinstance(default, list) else str(default)
        assert value == text, name
        compared += 1
    assert compared > 25


# --- Packages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["base", "dev", "blender"])
def test_every_package_has_its_reason(name: str) -> None:
    lines = (ROOT / f"requirements/{name}.in").read_text().split("\n")
    wanted = [re.split(r"[\[<>=~! ]", line)[0] for line in lines if line and not line.startswith(("#", "-"))]
    page = (ROOT / "docs/dependencies.md").read_text()
    section = page.split(f"(`requirements/{name}.in`)", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \| (\S.*?) \|", section, flags=re.MULTILINE)
    assert sorted(package for package, _reason in rows) == sorted(wanted)


def test_packages_that_nothing_imports_are_those_said_so() -> None:
    page = (ROOT / "docs/dependencies.md").read_text()
    said = set(re.findall(r"^\| `([^`]+)` \|.*Nothing imports it yet", page, flags=re.MULTILINE))
    modules = {
        "django-storages": "storages",
        "oss2": "oss2",
        "factory-boy": "factory",
        "hypothesis": "hypothesis",
    }
    sources = "\n".join(
        path.read_text() for app in [*APPS.split("|"), "tests"] for path in (ROOT / app).rglob("*.py")
    )
    unused = {
        package
        for package, module in modules.items()
        if not re.search(rf"^\s*(from|import) {module}\b", sources, flags=re.MULTILINE)
    }
    assert said == unused


# --- Production ------------------------------------------------------------------------------------------------


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


@pytest.mark.parametrize("name", [name for name, service in services().items() if "build" in service])
def test_commands_of_compose_exist(name: str) -> None:
    words = shlex.split(services()[name]["command"])
    match words:
        case ["python", "manage.py", command, *_rest]:
            assert command in get_commands()
        case ["gunicorn", application, *_rest]:
            assert import_string(application.replace(":", "."))
        case ["python", "-m", "uvicorn", application, *_rest]:
            assert import_string(application.replace(":", "."))
        case ["python", "-m", "celery", "-A", project, what, *_rest]:
            assert what in ("worker", "beat")
            assert import_string(f"{project}.celery_app").main == "yuntu"
        case _:
            pytest.fail(f"an unknown kind of command: {words}")


def test_stages_of_the_dockerfile_are_those_of_compose() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", dockerfile, flags=re.MULTILINE))
    wanted = {service["build"]["target"] for service in services().values() if "build" in service}
    assert wanted == {"app", "engine"}
    assert wanted <= stages
    for line in re.findall(r"^COPY (?!--from)(.+)", dockerfile, flags=re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()


def test_no_port_of_a_database_is_published() -> None:
    assert [name for name, service in services().items() if "ports" in service] == ["nginx"]


def test_worker_of_compose_serves_every_queue_that_is_routed() -> None:
    from django.conf import settings

    queues = {settings.CELERY_TASK_DEFAULT_QUEUE}
    queues |= {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    words = shlex.split(services()["celery-worker"]["command"])
    assert set(words[words.index("-Q") + 1].split(",")) == queues


def test_nginx_knows_the_services_and_the_prefix_of_compose() -> None:
    text = (ROOT / "deploy/nginx.conf").read_text()
    hosts = dict(re.findall(r"server (\S+):(\d+);", text))
    assert set(hosts) == {"web", "uploads", "dav", "sockets"}
    for host, port in hosts.items():
        assert port in services()[host]["command"]
    prefix = services()["web"]["environment"]["ACCEL_REDIRECT_PREFIX"]
    assert f"location {prefix}/ {{" in text
    assert f"alias {services()['web']['environment']['YUNTU_VAR']}/blobs/;" in text
    size = re.search(r"client_max_body_size (\d+)m;", text)
    assert size
    from django.conf import settings

    assert settings.MAX_BODY < int(size[1]) * 2**20 < settings.MAX_BODY * 1.1
