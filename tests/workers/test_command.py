"""``manage.py workers`` as an operator starts it."""

from __future__ import annotations

import os
import subprocess
import sys

from django.conf import settings


def test_workers_do_not_start_with_a_setting_that_is_wrong(tmp_path):
    environment = os.environ | {"SECRET_KEY": "only-for-this-test", "DATA_DIR": str(tmp_path), "LOG_FORMAT": "odd"}
    run = subprocess.run(
        [sys.executable, "manage.py", "workers"], cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "LOG_FORMAT is neither text nor json" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
