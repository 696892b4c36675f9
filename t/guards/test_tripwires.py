"""Each guard fails when what it is there for is done to the tree, and when it finds nothing to check."""

import inspect
import shutil
import subprocess

import pytest

import test_guards

GUARDS = {name: guard for name, guard in vars(test_guards).items() if name.startswith("test_")}
NEW_REASON = 'OKS_REASON(NEW, "%s", 403, OKS_LEVEL_WARN, OKS_WHO_VISITOR, "-", "-")\n'
# Of each guard: a file, what is added to it, and what the guard says then.
BREAKS = {
    "test_rooms_know_only_what_they_may": [("src/base/err.c", '#include "oktasso/flow.h"\n', "err.c includes oktasso/flow.h")],
    "test_case_is_folded_in_ascii_alone": [("src/base/err.c", "x = strcasecmp(a, b);\n", "strcasecmp")],
    "test_httpd_is_known_in_one_room": [("src/flow/acs.c", "/* request_rec */\n", "flow/acs.c")],
    "test_only_saml_and_oidc_make_an_identity": [("src/flow/acs.c", "x = apr_palloc(pool, sizeof(oks_identity_t));\n", "flow")],
    "test_public_headers_compile_alone": [("include/oktasso/net.h", "oks_unknown_t oks_net_unknown;\n", "oks_unknown_t")],
    "test_functions_lines_and_files_are_short": [
        ("src/net/net.c", "\nvoid f(void)\n{\n" + "    f();\n" * 71 + "}\n", "a function of 71 lines"),
        ("src/net/net.c", f"/* {'x' * 130} */\n", "136 columns"),
        ("src/net/net.c", "\n" * 900, "net.c: 1")],
    "test_every_event_of_the_log_is_documented": [
        ("src/flow/acs.c", 'x = oks_flow_answer(200, "tripwire.answer", pool);\n', "tripwire.answer"),
        ("src/flow/acs.c", 'answer->event = "tripwire.event";\n', "tripwire.event")],
    "test_reason_codes_are_unique_and_well_formed": [("include/oktasso/reasons.def", NEW_REASON % code, "assert")
                                                     for code in ("flow.org.unknown", "flow", "Flow.org.new")],
    "test_every_reason_is_asserted_by_a_test": [("include/oktasso/reasons.def", NEW_REASON % "flow.tripwire.new", "no test names flow.tripwire.new")],
    "test_every_reason_of_a_verifier_is_an_outcome_of_a_vector": [("include/oktasso/reasons.def", NEW_REASON % "saml.tripwire.new", "saml.tripwire.new")],
    "test_every_reason_is_documented": [
        ("include/oktasso/reasons.def", NEW_REASON % "flow.tripwire.new", "lacks | `flow.tripwire.new` | 403 | warn | visitor |"),
        ("conf.d/reference.md", "| `base.first` | 403 | warn | visitor | - |\n", "not in order")],
    "test_every_directive_is_documented_and_tested": [("src/httpd/directives.c", 'AP_INIT_FLAG("OktaSSOTripwire", f, NULL, ORG, "-"),\n', text)
                                                      for text in ("OktaSSOTripwire: no documentation", "OktaSSOTripwire: no test")],
    "test_links_within_a_document_lead_somewhere": [
        (file, "[nowhere](#nowhere)\n", file.rpartition("/")[2]) for file in ("README.md", "conf.d/reference.md")],
    "test_the_index_of_the_reference_has_every_directive": [
        ("src/httpd/directives.c", 'AP_INIT_FLAG("OktaSSOTripwire", f, NULL, ORG, "-"),\n', "OktaSSOTripwire")],
    "test_every_test_is_run": [
        ("t/other/test_other.py", "", "no default part of t/run runs ['t/other']"),
        ("t/fuzz/corpus/fuzz_gone/seed", "", "a corpus of no target: ['fuzz_gone']"),
        ("t/unit/other.c", "int main(void)\n{\n}\n", "CMake does not register ['other']"),
        ("t/fuzz/other.c", "bool fuzz_one(oks_span_t input, apr_pool_t *pool)\n{\n}\n", "CMake does not register ['replay_other']")],
    "test_log_tags_are_unique": [("src/httpd/audit.c", '"OKS0041: again"\n', "OKS0041")],
    "test_the_top_level_holds_what_design_names": [("notes.txt", "", "notes.txt")],
    "test_second_lines_of_defence_stand": [("src/xml/verify.c", "/* xmlSecDSigCtxCreate(NULL) */\n", "xmlSecDSigCtxCreate")],
    "test_nothing_secret_is_logged": [("src/httpd/audit.c", 'ap_log_rerror(APLOG_MARK, 0, 0, r, "%s", cookies);\n', "cookies")],
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """What git tracks, as it is in the working tree."""
    tree = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(["git", "-C", str(test_guards.ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(test_guards.ROOT / name, tree / name)
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    return tree


def check(guard, tree, folder, monkeypatch):
    monkeypatch.setattr(test_guards, "ROOT", tree)
    subprocess.run(["git", "-C", str(tree), "add", "-A"], capture_output=True)
    guard(**{name: folder for name in inspect.signature(guard).parameters})


def test_every_guard_has_a_tripwire():
    assert len(GUARDS) > 12 and set(GUARDS) == set(BREAKS)


@pytest.mark.parametrize("name, file, added, said", [(name, *each) for name, breaks in BREAKS.items() for each in breaks])
def test_what_a_guard_is_there_for_fails(copy, tmp_path, monkeypatch, name, file, added, said):
    path = copy / file
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    try:
        path.write_bytes((before or b"") + added.encode())
        with pytest.raises(AssertionError) as failed:
            check(GUARDS[name], copy, tmp_path, monkeypatch)
        assert said in str(failed.value)
    finally:
        if before is None:
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        else:
            path.write_bytes(before)


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_that_finds_nothing_fails(tmp_path, monkeypatch, name):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises((AssertionError, OSError, subprocess.CalledProcessError)):
        check(GUARDS[name], empty, tmp_path, monkeypatch)
