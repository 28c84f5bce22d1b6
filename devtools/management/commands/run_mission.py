"""``manage.py run_mission FILE --type TYPE``: a prompts file in, a folder of results out.  See docs/run-mission.md."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Sum
from rich.console import Console

from core.db import pending_migrations
from core.errors import NotPossible
from devtools import local_stack, progress, report, sandbox
from missions import lifecycle, services
from missions.batch_input.local_files import Row, holds_list, read_rows, upload_local_files
from missions.batch_input.rows import count_repeats
from missions.batch_input.tables import RowsInvalid, split_list
from missions.models import Attempt, AttemptStatus, Mission, MissionStatus
from missions.results import export
from providers import catalog, provider_accounts
from providers.adapters.errors import AccountBlocked, ProviderError
from providers.catalog.task_types import TaskType
from workers import heartbeat

BAD_INPUT = 2
INTERRUPTED = 130
SETTLE_SECONDS = 5.0  # how long an interrupted run waits for answers to requests on the wire
SHOWN_ERRORS = 20
LOCAL_USER = "local"

NO_KEY = """\
No API key is set, so nothing can be generated and nothing can be spent.
  Try it for nothing:   add --simulate (a simulator on this machine answers, with pictures that say what they are)
  For real results:     put RUNNINGHUB_API_KEY=… into .env beside manage.py"""


class Command(BaseCommand):
    help = "Run a file of prompts (.txt, .csv or .jsonl) as one mission and wait for its results."
    requires_system_checks = []  # a sandbox has settings of its own, so they are checked once it is known which hold
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", help=".txt, .csv or .jsonl: a prompt or a row per line")
        parser.add_argument("--type", dest="task_type", choices=TaskType.values, help="what to make")
        parser.add_argument(
            "--model", default="", help="endpoint, or provider:endpoint; without it the default of the type"
        )
        parser.add_argument(
            "--param", action="append", default=[], metavar="K=V", help="for all items; k:=JSON is JSON"
        )
        parser.add_argument("--name", default="", help="the mission's name; without it the file's")
        parser.add_argument("--priority", type=int, default=0, help="higher goes first (0)")
        parser.add_argument("--repeat", type=int, default=1, metavar="N", help="make each row N times (1)")
        parser.add_argument(
            "--out", type=Path, metavar="DIR", help="copy the results and a manifest.csv to this folder"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask before money is spent")
        parser.add_argument("--user", default="", metavar="USERNAME", help="whose mission it is")
        parser.add_argument("--free-form", action="store_true", help="admit a --model that is not in the catalogue")
        parser.add_argument(
            "--simulate", action="store_true", help="use a simulator with data of its own; costs nothing"
        )
        parser.add_argument("--resume", type=int, metavar="ID", help="go on with a mission that was interrupted")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["simulate"] and not sandbox.is_inside():
            sandbox.enter(Path(settings.DATA_DIR) / "simulated")
        self.check()
        obey_stop_signals()
        with ExitStack() as stack:
            if options["simulate"]:
                try:
                    stack.enter_context(sandbox.opened(is_fresh=False))
                except RuntimeError as error:
                    raise CommandError(str(error)) from error
            code = self._run(options)
        if code:
            raise SystemExit(code)

    def _run(self, options: dict[str, Any]) -> int:
        try:
            return Run(options).run()
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            return INTERRUPTED
        except export.ExportFailed as error:
            raise CommandError(f"The mission has ended. {error}") from error


def obey_stop_signals() -> None:
    """A stop by the system, or a closed terminal, is the same as Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


class Run:
    """One run of the command.  Its verbs raise CommandError with BAD_INPUT before anything is stored or spent."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self.out: Path | None = options["out"]

    def say(self, text: str = "") -> None:
        self.console.print(text)

    def run(self) -> int:
        """Returns the exit code."""
        _prepare_database()
        self.user = _user(self.options["user"])
        self.has_workers = heartbeat.is_any_alive()
        _require_folder(self.out, is_resumed=self.options["resume"] is not None)
        return self._resume() if self.options["resume"] is not None else self._start()

    # --- A new mission, or one to go on with ---

    def _start(self) -> int:
        rows, arguments = self._read()
        try:
            draft = services.validate_mission(name=self.options["name"] or Path(self.options["file"]).stem, **arguments)
        except services.MissionInvalid as invalid:
            raise _bad_input(_by_line(invalid, rows, arguments["params"])) from invalid
        self._describe(draft, rows)
        if draft.estimated_cost != 0:
            self._confirm()
        with ExitStack() as stack:
            self._find_workers(stack, draft.model.provider)
            mission = services.create_mission(draft, priority=self.options["priority"])
            return self._watch(mission)

    def _resume(self) -> int:
        mission = _mission(self.options["resume"])
        self.say(f"Mission {mission.pk}, {mission.name}: {progress.standings([mission.pk])[0]}.")
        self._require_key(mission.provider)
        if mission.pending_count:
            self._confirm()
        with ExitStack() as stack:
            self._find_workers(stack, mission.provider)
            if mission.status == MissionStatus.PAUSED:
                services.resume_mission(mission_id=mission.pk, actor=self.actor)
            return self._watch(mission)

    @property
    def actor(self) -> str:
        return f"user:{self.user.pk}"

    def _read(self) -> tuple[list[Row], dict[str, Any]]:
        """The rows of the file, and the arguments for ``services.validate_mission``."""
        file, task_type = self.options["file"], self.options["task_type"]
        if not file or not task_type:
            raise CommandError("Give a FILE and its --type, or --resume ID.", returncode=BAD_INPUT)
        path = Path(file)
        try:
            model = _model(task_type, self.options["model"])
            self._require_key(model.provider)
            rows = read_rows(path, model=model)
            rows = upload_local_files(rows, model=model, folder=path.parent, owner=self.user)
            params = self._params(model)
        except RowsInvalid as invalid:
            raise _bad_input([str(error) for error in invalid.errors]) from invalid
        return rows, {
            "owner": self.user,
            "task_type": task_type,
            "rows": [row.value for row in rows],
            "params": params,
            "model": self.options["model"],
            "repeat": self.options["repeat"],
            "allow_free_form": self.options["free_form"],
        }

    def _params(self, model: catalog.Model) -> dict[str, Any]:
        """The --param options.  Paths of images are relative to where the command is run."""
        given = dict(_param(text, model) for text in self.options["param"])
        shared = upload_local_files([Row(0, given)], model=model, folder=Path(), owner=self.user)
        value = shared[0].value
        return value if isinstance(value, dict) else {}

    # --- Before anything is spent ---

    def _describe(self, draft: services.Draft, rows: Sequence[Row]) -> None:
        model, count = draft.model, len(draft.rows)
        self.say(
            f"{count} {'item' if count == 1 else 'items'}, {model.task_type.label}: {model.name} ({model.endpoint})"
        )
        if sandbox.is_inside():
            self.say("Server: a simulator on this machine. Nothing can be spent.")
        elif self.has_workers:
            self.say("Server: the one of the workers that are running, with the key that they were started with.")
        else:
            address = provider_accounts.address(provider_accounts.environment_account(model.provider))
            self.say(f"Server: {address or 'this one'}")
        price = report.money(draft.estimated_cost, model.currency)
        self.say(f"Estimated price: {price}{' (as published; the invoice decides)' if draft.estimated_cost else ''}")
        if model.note:
            self.say(f"Note: {model.note.strip()}")
        same = count_repeats([row.value for row in rows])
        if same:
            self.say(f"Note: {same} of {len(rows)} rows repeat an earlier one. Each is generated, and paid.")
        self._mention_others()

    def _mention_others(self) -> None:
        """Starting workers starts them for everything that waits."""
        waiting = Mission.objects.filter(status__in=lifecycle.RUNNABLE, pending_count__gt=0)
        items = waiting.aggregate(items=Sum("pending_count"))["items"]
        if items and not self.has_workers:
            self.say(f"Note: {waiting.count()} other missions with {items} waiting items will go on as well.")

    def _confirm(self) -> None:
        """Raises CommandError unless somebody wants it."""
        if sandbox.is_inside() or self.options["yes"]:
            return
        if not sys.stdin.isatty():
            message = "This may cost money, and nobody is here to ask: add --yes. Nothing was started."
            raise CommandError(message, returncode=BAD_INPUT)
        if input("Start? This costs money. [y/N] ").strip().lower() not in ("y", "yes", "是"):
            raise CommandError("Nothing was started, nothing was paid.", returncode=BAD_INPUT)

    def _require_key(self, provider: str) -> None:
        """Raises CommandError when the provider needs a key and has none."""
        account = provider_accounts.environment_account(provider)
        if not self.has_workers and provider_accounts.needs_key(account) and not provider_accounts.has_key(account):
            raise CommandError(NO_KEY, returncode=BAD_INPUT)

    def _find_workers(self, stack: ExitStack, provider: str) -> None:
        """Workers that run until ``stack`` ends, unless there are some already."""
        if self.has_workers:
            return
        _check_account(provider)
        try:
            stack.enter_context(local_stack.own_workers())
        except RuntimeError as error:
            raise CommandError(f"{error} Nothing was sent. See {local_stack.log_file()}.") from error
        self.say(f"{settings.Q_WORKERS} workers started.")

    # --- While it runs, and after ---

    def _watch(self, mission: Mission) -> int:
        started = time.monotonic()
        self.say(f"Mission {mission.pk}. Ctrl-C pauses it.")
        try:
            progress.follow([mission.pk], self.console)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._pause(mission, "Interrupted at the terminal.")
            return INTERRUPTED
        except progress.Halted as halted:
            self.say(str(halted))
            self._pause(mission, str(halted))
            return 1
        return self._report(mission, time.monotonic() - started)

    def _pause(self, mission: Mission, reason: str) -> None:
        """Stop submitting, and say what that leaves."""
        wire: list[int] = []
        with suppress(NotPossible):  # it has ended, or is paused already
            wire = services.pause_mission(mission_id=mission.pk, actor=self.actor, reason=reason).still_sending
        sending = Attempt.objects.filter(pk__in=wire, status=AttemptStatus.SENDING)
        deadline = time.monotonic() + SETTLE_SECONDS
        while sending.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        mission.refresh_from_db()
        standing = progress.standings([mission.pk])[0]
        self.say(f"Mission {mission.pk} is {mission.get_status_display()}: {standing}.")
        if mission.in_flight_count or standing.waiting_files:
            self.say("What is in flight goes on at the provider and is paid. Its results are fetched when you go on,")
            self.say("which should be within a day: the provider keeps results no longer.")
        if unanswered := sending.count():
            self.say(f"{unanswered} were being sent and have no answer yet; they may be paid.")
        self.say(f"Go on with: {self._resume_command(mission)}")

    def _resume_command(self, mission: Mission) -> str:
        parts = ["manage.py", "run_mission", "--resume", str(mission.pk)]
        parts += ["--out", str(self.out)] if self.out else []
        parts += ["--simulate"] if self.options["simulate"] else []
        return shlex.join(parts)

    def _report(self, mission: Mission, seconds: float) -> int:
        mission.refresh_from_db()
        self.say()
        for line in report.lines(mission):
            self.say(line)
        self.say(f"time: {report.duration(seconds)}")
        if self.out is not None:
            count = export.export(mission, self.out)
            self.say(f"{count} files and {export.MANIFEST} in {self.out}")
        is_perfect = mission.completed_count == mission.total_count and not report.lost_files(mission)
        return 0 if is_perfect else 1


def _prepare_database() -> None:
    """An empty database is set up; an older one is left to its operator."""
    try:
        missing = pending_migrations.missing_migrations()
        is_new = not MigrationRecorder(connection).applied_migrations()
    except DatabaseError as error:
        raise CommandError(f"The database cannot be opened: {error}", returncode=BAD_INPUT) from error
    if missing and is_new:
        call_command("migrate", verbosity=0, interactive=False)
    elif missing:
        raise CommandError("The database is of an older version. Run first: manage.py migrate", returncode=BAD_INPUT)


def _user(username: str) -> User:
    """Whose mission it is: the one that is named, else the first administrator, else a user made for this machine."""
    users = get_user_model().objects
    if username:
        named = users.filter(username=username).first()
        if named is None:
            raise CommandError(
                f"There is no user {username}. Make one: manage.py createsuperuser", returncode=BAD_INPUT
            )
        return named
    found = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return found or users.get_or_create(username=LOCAL_USER, defaults={"password": "!"})[0]


def _mission(mission_id: int) -> Mission:
    mission = Mission.objects.filter(pk=mission_id).first()
    if mission is None:
        raise CommandError(f"There is no mission {mission_id}.", returncode=BAD_INPUT)
    if mission.status == MissionStatus.CANCELLED or mission.delete_requested_at:
        raise CommandError(f"Mission {mission_id} was cancelled for good.", returncode=BAD_INPUT)
    return mission


def _require_folder(folder: Path | None, *, is_resumed: bool) -> None:
    if folder is None:
        return
    try:
        export.require_usable(folder, is_resumed=is_resumed)
    except export.ExportFailed as error:
        raise CommandError(str(error), returncode=BAD_INPUT) from error


def _model(task_type: str, endpoint: str) -> catalog.Model:
    """The model whose fields the file is read for.  Whether it may be used is decided with everything else."""
    try:
        return catalog.find_model(endpoint, task_type) if endpoint else catalog.default_model(task_type)
    except catalog.UnknownModel as error:
        raise CommandError(str(error), returncode=BAD_INPUT) from error


def _param(text: str, model: catalog.Model) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip(":"):
        raise CommandError(f"--param {text}: write it as name=value.", returncode=BAD_INPUT)
    if name.endswith(":"):
        try:
            return name.removesuffix(":"), json.loads(value)
        except ValueError as error:
            raise CommandError(f"--param {text}: what follows := is not JSON.", returncode=BAD_INPUT) from error
    return name, split_list(value) if holds_list(model, name) else value


def _check_account(provider: str) -> None:
    """Ask the provider if the account works, which is free.  Raises CommandError before anything is stored."""
    account = provider_accounts.environment_account(provider)
    if account.paused_at:
        provider_accounts.resume(account.pk)
    try:
        provider_accounts.check(account)
    except AccountBlocked as error:
        subject = "API key" if provider_accounts.has_key(account) else "account"
        message = f"The {subject} cannot be used: {error}\nNothing was sent, nothing was paid."
        raise CommandError(message, returncode=BAD_INPUT) from error
    except ProviderError as error:
        server = provider_accounts.address(account) or account.name
        message = f"{server} gives no useful answer: {error}\nNothing was sent, nothing was paid."
        raise CommandError(message, returncode=BAD_INPUT) from error


def _by_line(invalid: services.MissionInvalid, rows: Sequence[Row], params: Mapping[str, Any]) -> list[str]:
    """The errors of a draft with the lines of the file: ``batch_input.7.duration`` → ``line 9: duration: …``."""
    return [_place(error.field, rows, params) + error.message for error in invalid.errors]


def _place(field: str, rows: Sequence[Row], params: Mapping[str, Any]) -> str:
    head, _, rest = field.partition(".")
    if head == "params":
        return f"--param {rest}: " if rest in params else f"every line: {rest}: "
    number, _, name = rest.partition(".")
    if head != "batch_input" or not number.isdecimal():
        return f"{field}: "
    row = rows[int(number)]
    return f"line {row.line}: {name}: " if name else f"line {row.line}: "


def _bad_input(errors: Sequence[str]) -> CommandError:
    shown = [f"  {error}" for error in errors[:SHOWN_ERRORS]]
    if len(errors) > SHOWN_ERRORS:
        shown.append(f"  … and {len(errors) - SHOWN_ERRORS} more")
    text = "\n".join(["The mission was not started, nothing was paid. Correct this first:", *shown])
    return CommandError(text, returncode=BAD_INPUT)
