"""``manage.py run_mission FILE --type TYPE``: run a file of prompts, store results in a folder.

See docs/run-mission.md.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
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

from batch_input.columns import takes_many
from batch_input.hints import hints_of_rows
from batch_input.local_files import FileRows, Row, read_file, upload_local_files
from batch_input.rows import count_repeats
from batch_input.tables import RowsInvalid, split_list
from batch_input.variables import PromptRules
from core.db import pending_migrations
from core.errors import NotPossible
from devtools import local_stack, progress, report, sandbox
from missions import lifecycle, services
from missions.models import Attempt, AttemptStatus, Mission, MissionStatus
from missions.results import export
from providers import catalog, provider_accounts
from providers.adapters.errors import AccountBlocked, ProviderError
from providers.adapters.registry import PROVIDERS
from providers.catalog.task_types import TaskType
from providers.provider_accounts import BlockedReason
from workers import heartbeat

BAD_INPUT = 2
INTERRUPTED = 130
SETTLE_SECONDS = 5.0  # an interrupted run waits this long for responses to requests on the wire
SHOWN_ERRORS = 20
LOCAL_USER = "local"

NO_KEY = """\
No API key is set, so nothing can be generated and nothing can be spent.
  To try it for free:  add --simulate (a simulator on this machine makes pictures that show their prompts)
  For real results:    put %s=… into .env beside manage.py"""


class Command(BaseCommand):
    help = "Run a file of prompts (.txt, .csv, .xlsx or .jsonl) as one mission and wait for its results."
    requires_system_checks = []  # a sandbox has other settings, so the checks run once it is known which apply
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("file", nargs="?", metavar="FILE", help=".txt, .csv, .xlsx or .jsonl: one prompt or row per line")
        add("--type", dest="task_type", choices=TaskType.values, help="the task type")
        add("--sheet", default="", metavar="NAME", help="the sheet of a workbook (default: the first with rows)")
        add("--model", default="", help="endpoint or provider:endpoint (default: the type's default model)")
        add("--param", action="append", default=[], metavar="K=V", help="a parameter for all items; K:=JSON for JSON")
        add("--name", default="", help="the mission's name (default: the file's name)")
        add("--priority", type=int, default=0, help="higher runs first (0)")
        add(
            "--file-names",
            default="",
            metavar="PATTERN",
            help="names of the results, such as {index}_{prompt} or {image}",
        )
        add("--repeat", type=int, default=1, metavar="N", help="make each row N times (1)")
        add("--vary", action="append", default=[], metavar="K=V|V", help="make every row with each of these values")
        add("--variables", action="store_true", help="{a|b} in prompts makes an item each; {{column}} is a cell")
        add("--prefix", default="", metavar="TEXT", help="put this before every prompt")
        add("--suffix", default="", metavar="TEXT", help="put this after every prompt")
        add("--first", type=int, metavar="N", help="run the first N rows; the others wait for --release")
        add("--out", type=Path, metavar="DIR", help="copy the results and manifest.csv to this folder")
        add("--yes", action="store_true", help="do not ask before money is spent")
        add("--user", default="", metavar="USERNAME", help="the owner of the mission")
        add("--free-form", action="store_true", help="accept a --model that is not in the catalogue")
        add("--simulate", action="store_true", help="use a simulator with its own data; costs nothing")
        add("--resume", type=int, metavar="ID", help="continue an interrupted mission")
        add("--release", type=int, metavar="ID", help="send the rows that wait behind those of --first")

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
            try:
                code = Run(options).run()
            except KeyboardInterrupt:
                self.stderr.write("Interrupted.")
                code = INTERRUPTED
            except export.ExportFailed as error:
                raise CommandError(f"The mission has ended. {error}") from error
        if code:
            raise SystemExit(code)


def obey_stop_signals() -> None:
    """Treat SIGTERM and a closed terminal like Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


class Run:
    """One run of the command. Bad input raises CommandError before anything is stored or spent."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self.out: Path | None = options["out"]

    def print(self, text: str = "") -> None:
        self.console.print(text)

    @property
    def actor(self) -> str:
        return f"user:{self.user.pk}"

    def run(self) -> int:
        """Run a new mission or resume one. Return the exit code.

        The tables of an empty database are created; an older one is for its operator to upgrade.
        """
        try:
            missing = pending_migrations.missing_migrations()
            is_new = not MigrationRecorder(connection).applied_migrations()
        except DatabaseError as error:
            raise CommandError(f"The database cannot be opened: {error}", returncode=BAD_INPUT) from error
        if missing and not is_new:
            message = "The database is of an older version. Run first: manage.py migrate"
            raise CommandError(message, returncode=BAD_INPUT)
        if missing:
            call_command("migrate", verbosity=0, interactive=False)
        self.user = _find_user(self.options["user"])
        self.has_workers = heartbeat.is_any_alive()
        mission_id = self.options["resume"] or self.options["release"]
        first = self.options["first"]
        if first is not None and first < 1:
            raise CommandError("--first: give a number of rows, at least 1.", returncode=BAD_INPUT)
        if self.out is not None:
            try:
                export.require_usable(self.out, is_resumed=mission_id is not None)
            except export.ExportFailed as error:
                raise CommandError(str(error), returncode=BAD_INPUT) from error
        return self.start() if mission_id is None else self.resume(mission_id)

    def start(self) -> int:
        """Check the input, say what it costs, and run the mission. Return the exit code."""
        file, task_type, endpoint = (self.options[name] for name in ("file", "task_type", "model"))
        if not file or not task_type:
            raise CommandError("Give a FILE and its --type, or --resume ID, or --release ID.", returncode=BAD_INPUT)
        try:
            if endpoint:
                model = catalog.find_model(endpoint, task_type, owner_id=self.user.pk)
            else:
                model = catalog.default_model(task_type)
        except catalog.UnknownModel as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from error
        self.require_key(model.provider)
        variations: dict[str, list[Any]] = {}
        for text in self.options["vary"]:
            name, equals, values = text.partition("=")
            if not equals or not name or not values.strip("| "):
                raise CommandError(f"--vary {text}: use the form name=value|value.", returncode=BAD_INPUT)
            variations[name] = split_list(values)
        content, params = self.read(Path(file), model)
        rows = content.rows
        try:
            draft = services.validate_mission(
                name=self.options["name"] or Path(file).stem,
                owner=self.user,
                task_type=task_type,
                rows=[row.value for row in rows],
                params=params,
                model=endpoint,
                repeat=self.options["repeat"],
                allow_free_form=self.options["free_form"],
                variations=variations,
                prompt_rules=PromptRules(self.options["prefix"], self.options["suffix"], self.options["variables"]),
                file_name_pattern=self.options["file_names"],
                headings={match.column: match.field for match in content.report.matches},
                origins=[row.facts for row in rows],
            )
        except services.MissionInvalid as invalid:
            raise _bad_input(
                [_place(error.field, rows, params) + error.message for error in invalid.errors]
            ) from invalid
        sent = [draft.params | row for row in draft.rows] if draft.has_rules else [row.value for row in rows]
        hints = hints_of_rows(sent, draft.model)
        report = replace(content.report, warnings=(*content.report.warnings, *hints, *draft.warnings))
        self.print(f"Read {report.name}: {report.line}")
        for warning in report.warning_texts:
            self.print(f"Note: {warning}")
        self.describe(draft, rows)
        if draft.estimated_cost != 0:
            self.confirm()
        with ExitStack() as stack:
            self.ensure_workers(stack, draft.model.provider)
            mission = services.create_mission(
                draft,
                priority=self.options["priority"],
                run_first=self.options["first"],
                input_report=report.to_json(),
            )
            return self.watch(mission)

    def resume(self, mission_id: int) -> int:
        """Continue a mission until it has ended. Return the exit code."""
        mission = Mission.objects.filter(pk=mission_id).first()
        if mission is None:
            raise CommandError(f"There is no mission {mission_id}.", returncode=BAD_INPUT)
        if mission.status == MissionStatus.CANCELLED or mission.delete_requested_at:
            raise CommandError(f"Mission {mission_id} was cancelled.", returncode=BAD_INPUT)
        self.require_key(mission.provider)
        self.print(f"Mission {mission.pk}, {mission.name}: {progress.mission_states([mission.pk])[0]}.")
        is_release = self.options["release"] is not None
        if is_release and not mission.held_count:
            raise CommandError(f"No row of mission {mission_id} waits for a release.", returncode=BAD_INPUT)
        if mission.waits_for_release and not is_release and not progress.mission_states([mission.pk])[0].pending_files:
            self.say_how_to_release(mission)
            return 1
        if is_release:
            price = report.money(mission.held_cost, mission.currency)
            self.print(f"To release: {mission.held_count} items. Estimated price: {price}")
        if is_release or mission.may_run_count:
            self.confirm()
        with ExitStack() as stack:
            self.ensure_workers(stack, mission.provider)
            if is_release:
                services.release_mission(mission_id=mission.pk, actor=self.actor, at_most=mission.held_cost)
            elif mission.waits_for_release:
                pass  # only its files are fetched
            elif mission.status == MissionStatus.PAUSED:
                services.resume_mission(mission_id=mission.pk, actor=self.actor)
            return self.watch(mission)

    # --- Input ---

    def require_key(self, provider: str) -> None:
        """Raise CommandError if workers would have to be started and lack the provider's key."""
        account = provider_accounts.environment_account(provider)
        if not self.has_workers and provider_accounts.blocked_reason(account) is BlockedReason.NO_KEY:
            setting = PROVIDERS[provider].environment["api_key"]
            raise CommandError(NO_KEY % setting, returncode=BAD_INPUT)

    def read(self, path: Path, model: catalog.Model) -> tuple[FileRows, dict[str, Any]]:
        """Read the file's rows and the --param options, and upload the local images that they name.

        Paths in the file are relative to the file, paths in options to the current folder.
        """
        try:
            content = read_file(path, model=model, sheet=self.options["sheet"])
            rows = upload_local_files(content.rows, model=model, folder=path.parent, owner=self.user)
            params = dict(_parse_param(text, model) for text in self.options["param"])
            shared = upload_local_files([Row(0, params)], model=model, folder=Path(), owner=self.user)[0].value
        except RowsInvalid as invalid:
            raise _bad_input([str(error) for error in invalid.errors]) from invalid
        return replace(content, rows=rows), shared if isinstance(shared, dict) else {}

    # --- Before anything is spent ---

    def describe(self, draft: services.Draft, rows: Sequence[Row]) -> None:
        """Print the model, the server and the price, and what else a person should know before."""
        model, count = draft.model, len(draft.rows)
        items = "1 item" if count == 1 else f"{count} items"
        self.print(f"{items}, {model.task_type.label}: {model.name} ({model.endpoint})")
        if sandbox.is_inside():
            self.print("Server: a simulator on this machine. Nothing can be spent.")
        elif self.has_workers:
            self.print("Server: that of the running workers, with the key that they were started with.")
        else:
            url = provider_accounts.address(provider_accounts.environment_account(model.provider))
            self.print(f"Server: {url or 'this machine'}")
        price = report.money(draft.estimated_cost, model.currency)
        note = " (list price; the provider's invoice decides)" if draft.estimated_cost else ""
        self.print(f"Estimated price: {price}{note}")
        first = self.options["first"]
        if first is not None and first < count:
            now, later = (report.money(price, model.currency) for price in draft.prices_of_parts(first))
            self.print(f"First {first}: {now} now. The other {count - first}: {later} after you release them.")
        if model.note:
            self.print(f"Note: {model.note.strip()}")
        if repeats := count_repeats([row.value for row in rows]):
            self.print(f"Note: {repeats} of {len(rows)} rows repeat an earlier one. Each is generated and paid.")
        waiting = Mission.objects.filter(status__in=lifecycle.RUNNABLE, pending_count__gt=0)
        pending_count = waiting.aggregate(sum=Sum("pending_count"))["sum"]
        if pending_count and not self.has_workers:  # workers that start here work on everything that waits
            self.print(f"Note: {waiting.count()} other missions with {pending_count} pending items will continue, too.")

    def confirm(self) -> None:
        """Ask before money is spent. Raise CommandError unless the answer is yes."""
        if sandbox.is_inside() or self.options["yes"]:
            return
        if not sys.stdin.isatty():
            message = "This may cost money, and there is no terminal to ask: add --yes. Nothing was started."
            raise CommandError(message, returncode=BAD_INPUT)
        if input("Start? This costs money. [y/N] ").strip().lower() not in ("y", "yes", "是"):
            raise CommandError("Nothing was started, nothing was paid.", returncode=BAD_INPUT)

    def ensure_workers(self, stack: ExitStack, provider: str) -> None:
        """Start workers that run until ``stack`` ends, unless some are running.

        Check the key first, which is free.
        """
        if self.has_workers:
            return
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
            message = f"{server} does not answer as expected: {error}\nNothing was sent, nothing was paid."
            raise CommandError(message, returncode=BAD_INPUT) from error
        try:
            stack.enter_context(local_stack.own_workers())
        except RuntimeError as error:
            raise CommandError(f"{error} Nothing was sent. See {local_stack.log_file()}.") from error
        self.print(f"{settings.Q_WORKERS} workers started.")

    # --- While it runs, and after ---

    def watch(self, mission: Mission) -> int:
        """Show the progress until the mission has ended, then its report. Return the exit code."""
        started = time.monotonic()
        self.print(f"Mission {mission.pk}. Ctrl-C pauses it.")
        try:
            progress.follow([mission.pk], self.console, sees_keys=not self.has_workers)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.pause(mission, "Interrupted at the terminal.")
            return INTERRUPTED
        except progress.Halted as halted:
            self.print(str(halted))
            self.pause(mission, str(halted))
            return 1
        mission.refresh_from_db()
        self.print()
        if mission.waits_for_release:
            self.say_how_to_release(mission)
        for line in report.lines(mission):
            self.print(line)
        self.print(f"time: {report.duration(time.monotonic() - started)}")
        if self.out is not None:
            count = export.export(mission, self.out)
            self.print(f"{count} files and {export.MANIFEST} in {self.out}")
        is_complete = mission.completed_count == mission.total_count - mission.held_count and not report.lost_files(
            mission
        )
        return 0 if is_complete else 1

    def say_how_to_release(self, mission: Mission) -> None:
        """Print what waits for a release, its price, and the command for it."""
        price = report.money(mission.held_cost, mission.currency)
        self.print(f"The first rows of mission {mission.pk} have finished. {mission.held_count} items wait: {price}.")
        command = ["manage.py", "run_mission", "--release", str(mission.pk)]
        command += ["--out", str(self.out)] if self.out else []
        command += ["--simulate"] if self.options["simulate"] else []
        self.print(f"Release them with: {shlex.join(command)}")

    def pause(self, mission: Mission, reason: str) -> None:
        """Stop submitting, and print the state and how to continue."""
        attempt_ids: list[int] = []
        with suppress(NotPossible):  # it has ended, or is paused already
            attempt_ids = services.pause_mission(mission_id=mission.pk, actor=self.actor, reason=reason).still_sending
        sending = Attempt.objects.filter(pk__in=attempt_ids, status=AttemptStatus.SENDING)
        deadline = time.monotonic() + SETTLE_SECONDS
        while sending.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        mission.refresh_from_db()
        state = progress.mission_states([mission.pk])[0]
        self.print(f"Mission {mission.pk} is {mission.get_status_display()}: {state}.")
        if mission.in_flight_count or state.pending_files:
            self.print("Tasks in flight continue at the provider and are paid. Their results are downloaded when you")
            self.print("continue. Continue within a day: providers delete results after some time.")
        if unanswered := sending.count():
            self.print(f"{unanswered} requests have no response yet; they may be paid.")
        command = ["manage.py", "run_mission", "--resume", str(mission.pk)]
        command += ["--out", str(self.out)] if self.out else []
        command += ["--simulate"] if self.options["simulate"] else []
        self.print(f"Continue with: {shlex.join(command)}")


def _find_user(username: str) -> User:
    """Return the named user, else the first administrator, else a user for this machine."""
    users = get_user_model().objects
    if username:
        user = users.filter(username=username).first()
        if user is None:
            message = f"There is no user {username}. Create one: manage.py createsuperuser"
            raise CommandError(message, returncode=BAD_INPUT)
        return user
    administrator = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return administrator or users.get_or_create(username=LOCAL_USER, defaults={"password": "!"})[0]


def _parse_param(text: str, model: catalog.Model) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip(":"):
        raise CommandError(f"--param {text}: use the form name=value.", returncode=BAD_INPUT)
    if name.endswith(":"):
        try:
            return name.removesuffix(":"), json.loads(value)
        except ValueError as error:
            raise CommandError(f"--param {text}: the value after := is not JSON.", returncode=BAD_INPUT) from error
    return name, split_list(value) if takes_many(model, name) else value


def _place(field: str, rows: Sequence[Row], params: Mapping[str, Any]) -> str:
    """Return where an error is: ``batch_input.7.duration`` becomes ``line 9: duration: ``."""
    head, _, rest = field.partition(".")
    if head == "params":
        return f"--param {rest}: " if rest in params else f"every line: {rest}: "
    if head == "file_name_pattern":
        return "--file-names: "
    number, _, name = rest.partition(".")
    if head != "batch_input" or not number.isdecimal():
        return f"{field}: "
    row = rows[int(number)]
    return f"line {row.line}: {name}: " if name else f"line {row.line}: "


def _bad_input(errors: Sequence[str]) -> CommandError:
    shown = [f"  {error}" for error in errors[:SHOWN_ERRORS]]
    if len(errors) > SHOWN_ERRORS:
        shown.append(f"  … and {len(errors) - SHOWN_ERRORS} more")
    text = "\n".join(["The mission was not started, and nothing was paid. Correct this first:", *shown])
    return CommandError(text, returncode=BAD_INPUT)
