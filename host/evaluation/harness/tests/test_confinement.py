"""What a guest can reach: nothing but its project, its memory and its socket. Needs root to start."""

import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit


NO_LANDLOCK = {"prism_harness/landlock.py": "def restrict(readable, devices):\n    return False\n"}
NO_SECCOMP = {"prism_harness/seccomp.py": "def install():\n    return False\n"}


class Snooping(unittest.TestCase):
    def assert_refused(self, answer, possible=()):
        self.assertTrue(answer.telemetry["runs"])
        log = answer.log
        self.assertEqual({line.split("=")[0] for line in log.splitlines() if "POSSIBLE" in line}, set(possible))
        self.assertTrue("val=refused" in log, "the attempts were made")
        self.assertTrue("descriptors= [0, 1, 2, 3, 4, 5]\n" in log, "5 is the mapping of 4")
        for name in ("prism-snoop", "prism-snoop-dir", "prism-snoop-link"):
            self.assertFalse(pathlib.Path("/tmp", name).exists())

    def test_another_user_reaches_nothing(self):
        answer = kit.evaluate("snoop", changes=kit.small())
        self.assert_refused(answer)
        for uid in (kit.WORKER, kit.AUDITOR):
            self.assertTrue(f"uid= {uid} []" in answer.log)
        self.assertFalse(str(kit.SCORER) in answer.log)

    def test_the_same_user_reaches_nothing_either(self):
        answer = kit.evaluate("snoop", two_user=False, changes=kit.small())
        self.assert_refused(answer)
        self.assertTrue(f"uid= {kit.PLAIN}" in answer.log)
        self.assertEqual(answer.telemetry["env"]["isolation"], "single_user")

    def test_job_on_standard_input(self):
        self.assert_refused(kit.evaluate("snoop", two_user=False, by_stdin=True, changes=kit.small()))

    def test_another_user_reaches_nothing_where_the_kernel_has_no_landlock(self):
        answer = kit.evaluate("snoop", changes=kit.small(), patches=NO_LANDLOCK)
        self.assert_refused(answer, possible=["list-tmp"])
        self.assertEqual(answer.telemetry["env"]["layers_missing"], ["landlock"])
        self.assertIn({"code": "landlock_unavailable", "n": 1}, answer.telemetry["anomalies"])

    def test_the_same_user_without_landlock_is_a_platform_fault(self):
        fault = kit.evaluate("honest", two_user=False, changes=kit.small(), patches=NO_LANDLOCK).fault
        self.assertEqual((fault["blame"], fault["code"]), ("platform", "P-ISOLATION"))

    def test_descendants_end_with_the_guest_where_the_filter_is_missing(self):
        project = kit.transformer()
        project["model.py"] += (
            "\nimport os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
            "        print('child', os.getpid(), flush=True)\n        time.sleep(3600)\n    os._exit(0)\n"
        )
        answer = kit.evaluate(project, changes=kit.small(), patches=NO_SECCOMP)
        children = [int(line.split()[1]) for line in answer.log.splitlines() if line.startswith("child ")]
        self.assertGreater(len(children), 2)
        for child in children:
            self.assertFalse(pathlib.Path("/proc", str(child)).exists(), child)


class Devices(unittest.TestCase):
    """A GPU's nodes are the one thing that a guest may write to. /dev/null stands in for one here."""

    def write_in_a_restricted_child(self, devices):
        code = ("import sys; sys.path.insert(0, sys.argv[1]); from prism_harness import landlock\n"
                "assert landlock.restrict(['/usr', '/lib', '/lib64', '/dev/null'], sys.argv[2:])\n"
                "open('/dev/null', 'wb').write(b'x')")
        command = [sys.executable, "-B", "-c", code, str(kit.HERE.parent), *devices]
        return subprocess.run(command, capture_output=True, check=False)

    def test_only_a_listed_device_can_be_written(self):
        self.assertEqual(self.write_in_a_restricted_child(["/dev/null"]).returncode, 0)
        refused = self.write_in_a_restricted_child([])
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"PermissionError", refused.stderr)

    def test_an_unknown_device_is_a_fault_of_the_platform(self):
        fault = kit.evaluate("honest", changes=kit.small(device="tpu")).fault
        self.assertEqual((fault["blame"], fault["code"]), ("platform", "P-PLAN"))


class Ending(unittest.TestCase):
    def test_guests_end_when_the_scorer_is_killed(self):
        with kit.started("honest") as (process, folder):
            process.stdout.readline()  # a guest is at work
            process.kill()
            process.stdout.read()  # until every holder of the pipe is gone
            deadline = time.monotonic() + 5.0
            while processes_of(folder) and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertEqual(processes_of(folder), [])


def processes_of(folder):
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            pass
    return found


class Output(unittest.TestCase):
    def test_a_flood_is_drained_and_capped(self):
        project = kit.transformer()
        project["model.py"] += "\nimport sys\nfor _ in range(2048): sys.stdout.write('x' * 16384)\nprint('the end')\n"
        answer = kit.evaluate(project, changes=kit.small())
        self.assertEqual(len(answer.of("telemetry")), 1)
        self.assertLessEqual(len(answer.log), 65_536)
        self.assertIn("the end", answer.log)
        counts = {a["code"]: a["n"] for a in answer.telemetry["anomalies"]}
        self.assertGreater(counts["log_truncated_bytes"], 100_000_000)

    def test_a_frame_printed_by_the_project_is_a_log_line(self):
        project = kit.transformer()
        project["model.py"] += "\nimport os\nforged = b'{\"frame\":\"telemetry\",\"telemetry\":{\"forged\":true}}\\n'\nfor fd in range(64):\n    try: os.write(fd, forged) if fd != 3 else None\n    except OSError: pass\n"
        answer = kit.evaluate(project, changes=kit.small())
        self.assertNotIn("forged", answer.telemetry)
        self.assertIn("forged", answer.log)


class Threads(unittest.TestCase):
    def test_threads_start_and_end_with_the_guest(self):
        project = kit.transformer()
        project["model.py"] += "\nimport threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\nprint('started')\n"
        answer = kit.evaluate(project, changes=kit.small())
        self.assertIn("started", answer.log)
        self.assertEqual({run["status"] for run in answer.telemetry["runs"]}, {"ok"})


if __name__ == "__main__":
    unittest.main()
