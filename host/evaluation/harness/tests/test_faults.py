"""Projects that break: each ends in one fault with a stable code and a message without host paths."""

import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit

FORWARD = "        length = tokens.shape[1]\n"
HIJACK = "import os, struct\nfrom prism_harness import wire\n"


def in_forward(code):
    return kit.transformer(forward=(FORWARD, FORWARD + code))


class Faults(unittest.TestCase):
    def ends_with(self, project, code, *fragments, changes=None, limits=None, training=True):
        answer = kit.evaluate(project, changes=kit.small(**(changes or {})), limits=limits, training=training)
        fault = answer.fault
        self.assertEqual(fault["code"], code, fault)
        self.assertEqual(fault["blame"], "miner")
        self.assertEqual(answer.returncode, 0)
        self.assertLessEqual(len(fault["message"]), 2000)
        for hidden in ("/tmp/", "/usr/", "/job/", "prism-job-"):
            self.assertNotIn(hidden, fault["message"])
        for fragment in fragments:
            self.assertIn(fragment, fault["message"])
        return answer

    def test_syntax_error(self):
        self.ends_with({"model.py": "def build_model(ctx)\n"}, "M-IMPORT", "SyntaxError")

    def test_exception_at_import(self):
        self.ends_with({"model.py": "x = 1\nraise ValueError('no luck')\n"}, "M-IMPORT", "ValueError: no luck", "model.py:2")

    def test_exception_in_build_model(self):
        self.ends_with(kit.transformer(build=("    return Model(ctx)", "    return Model(ctx.nothing)")), "M-BUILD", "nothing", "in build_model")

    def test_missing_function(self):
        self.ends_with({"model.py": "def get_recipe(ctx):\n    return {}\n"}, "M-CONTRACT", "build_model")

    def test_model_of_the_wrong_type(self):
        self.ends_with(kit.transformer(build=("    return Model(ctx)", "    return 7")), "M-CONTRACT", "torch.nn.Module")

    def test_recipe_with_a_learning_rate_that_is_not_a_number(self):
        self.ends_with(kit.transformer(rate=("learning_rate=0.002", "learning_rate=float('nan')")), "M-CONTRACT", "learning_rate")

    def test_logits_of_the_wrong_shape(self):
        self.ends_with(kit.transformer(shape=("return self.head(self.norm(x))", "return self.head(self.norm(x))[:, :-1]")), "M-CONTRACT", "shape")

    def test_too_many_parameters(self):
        self.ends_with("honest", "M-CONTRACT", "46208 parameters", changes={"max_parameters": 40_000})

    def test_exception_in_forward(self):
        self.ends_with(in_forward("        raise RuntimeError('broken')\n"), "M-CRASH", "RuntimeError: broken", "in forward")

    def test_leaving_with_success(self):
        self.ends_with(in_forward("        __import__('os')._exit(0)\n"), "M-NO-RESULT")

    def test_leaving_with_an_error(self):
        self.ends_with(in_forward("        __import__('os')._exit(3)\n"), "M-CRASH", "status 3")

    def test_system_exit_is_no_result(self):
        self.ends_with({"model.py": "raise SystemExit(0)\n"}, "M-NO-RESULT")

    def test_segmentation_fault(self):
        self.ends_with(in_forward("        __import__('ctypes').string_at(0)\n"), "M-CRASH", "signal 11")

    def test_hang(self):
        self.ends_with(in_forward("        while True: pass\n"), "M-TIMEOUT", changes={"open_ms": 1000})

    def test_stopping_itself(self):
        stop = "        import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(os.getpid(), signal.SIGSTOP)\n"
        self.ends_with(in_forward(stop), "M-TIMEOUT", changes={"open_ms": 1000})

    def test_out_of_memory(self):
        self.ends_with(in_forward("        torch.ones(1 << 33)\n"), "M-OOM")

    def test_memory_used_up_by_python(self):
        self.ends_with(in_forward("        hog = [bytes(1 << 20) for _ in range(1 << 20)]\n"), "M-OOM", limits={"memory_bytes": 512 << 20})

    def test_oversized_frame(self):
        self.ends_with(in_forward("        import os; os.write(3, b'\\xff\\xff\\xff\\x7f')\n"), "M-FRAME-OVERSIZED")

    def test_truncated_frame(self):
        self.ends_with(in_forward("        import os, struct; os.write(3, struct.pack('<I', 1000) + b'x' * 500); os._exit(0)\n"), "M-FRAME-TRUNCATED")

    def test_junk_frame(self):
        self.ends_with(in_forward("        import os, struct; os.write(3, struct.pack('<I', 4) + b'\\x80\\x04K.')\n"), "M-FRAME-INVALID")

    def test_deeply_nested_frame(self):
        self.ends_with(in_forward("        import os, struct; os.write(3, struct.pack('<I', 200000) + b'[' * 200000)\n"), "M-FRAME-INVALID")

    def test_frame_with_nan(self):
        self.ends_with(in_forward("        import os, struct; os.write(3, struct.pack('<I', 9) + b'{\"a\":NaN}')\n"), "M-FRAME-INVALID")

    def test_lie_about_the_shape(self):
        lie = "import prism_harness.wire as wire\nhonest_send = wire.send\ndef send(sock, message, *rest):\n    if 'shape' in message: message['shape'] = [1 << 40, 'x']\n    honest_send(sock, message, *rest)\nwire.send = send\n"
        project = kit.transformer()
        project["model.py"] += lie
        self.ends_with(project, "M-CONTRACT", "shape")

    def test_lie_about_the_weights(self):
        lie = "import prism_harness.wire as wire\nhonest_send = wire.send\ndef send(sock, message, *rest):\n    if 'tensors' in message: message['tensors'] = [['w', 'float32', [1 << 39, 1 << 39], True]]\n    honest_send(sock, message, *rest)\nwire.send = send\n"
        project = kit.transformer()
        project["model.py"] += lie
        self.ends_with(project, "M-CONTRACT", "weights take")

    def test_too_slow_for_the_tier(self):
        self.ends_with("honest", "M-TIMEOUT", "CPU time", changes={"budget_ms": 1})

    def test_no_gradient(self):
        self.ends_with(kit.transformer(detach=("return self.head(self.norm(x))", "return self.head(self.norm(x)).detach()")), "M-CONTRACT", "gradient")


class PlatformFaults(unittest.TestCase):
    def test_unreadable_job(self):
        fault = kit.evaluate("honest", extra={"schema": "prism.job/9"}).fault
        self.assertEqual((fault["blame"], fault["code"]), ("platform", "P-JOB"))

    def test_missing_corpus(self):
        fault = kit.evaluate("honest", extra={"data": {"corpus_id": "c", "train": "/nonexistent/a", "val": "/nonexistent/b"}}).fault
        self.assertEqual((fault["blame"], fault["code"]), ("platform", "P-DATA"))

    def test_two_users_that_are_one(self):
        fault = kit.evaluate("honest", extra={"isolation": {"mode": "two_user", "scorer_uid": 64101, "worker_uid": 64101, "auditor_uid": 64103}}).fault
        self.assertEqual((fault["blame"], fault["code"]), ("platform", "P-ISOLATION"))


if __name__ == "__main__":
    unittest.main()
