"""A real browser, HTTPS, and two sites that are strangers to each other: the identity provider's POST is cross-site."""

import hashlib
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "httpd"))
import harness  # noqa: E402
from harness import wait_until  # noqa: E402
from okta import oidc, provisioning  # noqa: E402

CONF = """
SSLEngine on
SSLCertificateFile "{dir}/cert.pem"
SSLCertificateKeyFile "{dir}/key.pem"
ServerName https://app.example:{port}
OktaSSOCAFile "{dir}/cert.pem"
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{dir}/idp.xml"
    OktaSSORole admin "Okta-Admins"
    OktaSSOEmailDomain acme.example
    OktaSSOSCIMToken sha256:{scim}
    Require valid-user
</Location>
<Location "/sales">
    Require okta-group Sales
</Location>
<Location "/post">
    OktaSSOOrg postal
    OktaSSOIdPMetadata "{dir}/idp-post.xml"
    OktaSSOSignRequests On
</Location>
<Location "/any/">
    OktaSSOOrg *
</Location>
<Location "/local/">
    OktaSSOOrg hooli
    OktaSSOIdPMetadata "{dir}/idp.xml"
    OktaSSOLocalProvider file
    OktaSSOBreakGlass ops
</Location>
<Location "/">
    AuthUserFile "{dir}/users"
</Location>
<Location "/globex/">
    OktaSSOOrg globex
    OktaSSOIdPMetadata "{globex}"
    OktaSSOClientID 0oaclient0standin0697
    OktaSSOClientSecret "a secret of the stand-in"
</Location>
<Location "/globex/posted/">
    OktaSSOOrg initech
    OktaSSOIdPMetadata "{globex}"
    OktaSSOClientID 0oaclient0standin0697
    OktaSSOClientSecret "a secret of the stand-in"
    OktaSSOResponseMode form_post
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --ignore-certificate-errors --window-size=1000,800""".split()
PICTURES = pathlib.Path(os.environ.get("OKTASSO_SCREENSHOTS") or tempfile.mkdtemp(prefix="oktasso-pictures-"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:globex.localhost,DNS:app.localhost", "-out", pair[0],
                    "-keyout", pair[1]], check=True, capture_output=True)
    backend_port, okta_port, globex_port = harness.free_port(), harness.free_port(), harness.free_port()
    backend = subprocess.Popen([sys.executable, str(harness.ROOT / "t/okta/backend.py"), "--listen", f"127.0.0.1:{backend_port}",
                                "--quiet"], stdout=subprocess.PIPE, text=True)
    backend.stdout.readline()
    apps = [harness.config.default_app("https://app.example:1/sso/okta/acs/acme")]
    with harness.client.started(tmp_path_factory.mktemp("okta"), apps=apps, listen=("127.0.0.1", okta_port), tls=pair,
                                base_url=f"https://acme.idp.test:{okta_port}") as okta, oidc.started(
                                    listen=("127.0.0.1", globex_port), tls=pair, base_url=f"https://globex.localhost:{globex_port}") as globex:
        server = harness.Httpd(CONF.replace("{globex}", globex.issuer).replace("{scim}", hashlib.sha256(b"a token").hexdigest()),
                               backend_port=backend_port)
        okta.idp.scim = provisioning.Provisioning(f"https://app.localhost:{server.port}/sso/okta/scim/acme/v2", "a token", pair[0])
        for name in ("cert.pem", "key.pem"):
            shutil.copy(folder / name, server.dir / name)
        okta.idp.put_app(harness.config.default_app(f"https://app.example:{server.port}/sso/okta/acs/acme"))
        context = ssl._create_unverified_context()
        url = f"{okta.url}/app/{apps[0].exk}/sso/saml/metadata"
        (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(url, context=context).read())
        # A second organization whose identity provider takes requests by HTTP-POST alone.
        okta.idp.put_app(harness.config.default_app(f"https://app.example:{server.port}/sso/okta/acs/postal", exk="exkpostal0standin697",
                                                    name="postal_1", label="Postal", attributes={
                                                        "email": "amelia@postal.example", "firstName": "user.firstName", "lastName": "user.lastName"}))
        url = f"{okta.url}/app/exkpostal0standin697/sso/saml/metadata"
        (server.dir / "idp-post.xml").write_text(urllib.request.urlopen(url, context=context).read().decode().replace(
            "bindings:HTTP-Redirect", "bindings:HTTP-POST"))
        (server.dir / "users").write_text("ann@hooli.example:{SHA}dEy5qfs9VYN0TqPs6bTYGdkL3uI=\nops:{SHA}dEy5qfs9VYN0TqPs6bTYGdkL3uI=\n")
        server.start()
        server.globex = globex
        server.home = f"https://app.example:{server.port}"
        server.idp_home = f"https://acme.idp.test:{okta_port}"
        try:
            yield server
        finally:
            backend.terminate()
            backend.wait(10)
            server.close()


@pytest.fixture
def browser(request):
    options = webdriver.ChromeOptions()
    profile = tempfile.mkdtemp(prefix="oktasso-chromium-")
    for flag in [*FLAGS, f"--user-data-dir={profile}", "--host-resolver-rules=MAP * 127.0.0.1", *getattr(request, "param", [])]:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_page_load_timeout(30)
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def picture(browser, name):
    PICTURES.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(PICTURES / f"{name}.png"))


def sign_in(browser, user="amelia.earhart@acme.example"):
    wait_until(lambda: browser.find_elements(By.ID, "username"), "the sign-in page")
    browser.find_element(By.ID, "username").send_keys(user)
    browser.find_element(By.ID, "password").send_keys("okta-demo")
    browser.find_element(By.ID, "submit").click()


def arrived(browser, url):
    wait_until(lambda: browser.current_url == url, f"{url}, at {browser.current_url}")


def test_a_request_by_http_post_sends_itself(site, browser):
    """The one page with a script: its policy lets that very script run."""
    browser.get(site.home + "/post/page?a=1")
    wait_until(lambda: browser.current_url.startswith(site.idp_home), "the identity provider")
    sign_in(browser)
    arrived(browser, site.home + "/post/page?a=1")
    assert "postal" in browser.page_source and "Amelia Earhart" in browser.page_source


@pytest.mark.parametrize("browser", [["--blink-settings=scriptEnabled=false"]], indirect=True)
def test_a_request_by_http_post_without_javascript(site, browser):
    browser.get(site.home + "/post/page")
    assert browser.find_element(By.TAG_NAME, "h1").text == "Signing in"
    picture(browser, "post")
    browser.find_element(By.TAG_NAME, "button").click()
    wait_until(lambda: browser.current_url.startswith(site.idp_home), "the identity provider")


def test_sign_in_from_a_deep_link_and_out_again(site, browser):
    target = site.home + "/reports?year=2026&q=a%20b"
    browser.get(target)
    assert browser.current_url.startswith(site.idp_home)
    picture(browser, "sign-in")
    sign_in(browser)
    arrived(browser, target)
    assert "Amelia Earhart" in browser.page_source and "Okta-Admins" in browser.page_source
    picture(browser, "application")
    cookies = {c["name"]: c for c in browser.get_cookies()}
    session = cookies["__Host-oktasso-session-acme"]
    assert session["secure"] and session["httpOnly"] and session["sameSite"] == "Lax"
    browser.refresh()
    arrived(browser, target)
    browser.back()  # to the identity provider's form or before it: never an error of ours
    browser.get(target)
    assert "Amelia Earhart" in browser.page_source
    browser.get(site.home + "/sso/okta/logout/acme")
    assert "signed out" in browser.page_source
    picture(browser, "signed-out")
    assert "__Host-oktasso-session-acme" not in {c["name"] for c in browser.get_cookies()}


SUBMIT = "const f = document.createElement('form'); f.method = 'post'; f.action = arguments[0]; document.body.appendChild(f); f.submit()"


def test_a_form_on_another_site_signs_nobody_out(site, browser):
    target = site.home + "/page"
    browser.get(target)
    sign_in(browser)
    arrived(browser, target)
    browser.get(site.idp_home.replace("acme.idp.test", "evil.attacker") + "/")
    browser.execute_script(SUBMIT, site.home + "/sso/okta/logout/acme")
    wait_until(lambda: browser.current_url.startswith(site.home), "the answer to the form")
    assert browser.find_element(By.TAG_NAME, "h1").text == "Sign out?"
    assert "__Host-oktasso-session-acme" in {c["name"] for c in browser.get_cookies()}
    browser.find_element(By.LINK_TEXT, "Sign out").click()
    wait_until(lambda: "You are signed out" in browser.page_source, "the sign-out")
    assert "__Host-oktasso-session-acme" not in {c["name"] for c in browser.get_cookies()}


def fetched(browser, url):
    """Opens the page once the documents are there."""
    wait_until(lambda: browser.get(url) or "flow.idp.unavailable" not in browser.page_source, "the discovery document")


def test_openid_connect_beside_saml_in_one_browser(site, browser):
    site.expect(r"flow\.idp\.unavailable")
    browser.get(site.home + "/first")
    sign_in(browser)
    arrived(browser, site.home + "/first")
    fetched(browser, site.home + "/globex/page?a=b")
    assert browser.current_url.startswith(site.globex.issuer)
    picture(browser, "globex")
    sign_in(browser, "jorge@globex.example")
    arrived(browser, site.home + "/globex/page?a=b")
    assert "Jorge Núñez" in browser.page_source and "globex" in browser.page_source
    picture(browser, "application-globex")
    browser.get(site.home + "/first")
    assert "Amelia Earhart" in browser.page_source, "each organization has its own session"
    browser.get(site.home + "/sso/okta/logout/globex")
    browser.get(site.home + "/first")
    assert "Amelia Earhart" in browser.page_source


def test_openid_connect_by_form_post(site, browser):
    site.expect(r"flow\.idp\.unavailable")
    fetched(browser, site.home + "/globex/posted/x")
    sign_in(browser, "grace.hopper@globex.example")
    arrived(browser, site.home + "/globex/posted/x")
    assert "Grace Hopper" in browser.page_source and "initech" in browser.page_source


def test_somebody_who_is_not_assigned_reads_why(site, browser):
    site.expect(r"flow\.idp\.unavailable", r"oidc\.error\.not_assigned")
    fetched(browser, site.home + "/globex/")
    sign_in(browser, "carl@globex.example")
    wait_until(lambda: "oidc.error.not_assigned" in browser.page_source, "the refusal")
    picture(browser, "not-assigned")


LOOKS = pytest.mark.parametrize("browser", [[], ["--force-dark-mode", "--enable-features=WebContentsForceDark:inversion_method/cielab_based"],
                                            ["--window-size=420,800"], ["--blink-settings=scriptEnabled=false"]], indirect=True,
                                ids=["light", "dark", "narrow", "no-script"])


@LOOKS
def test_the_sign_in_page_finds_the_organization(site, browser, request):
    browser.get(site.home + "/any/page?x=1")
    field = browser.find_element(By.NAME, "organization")
    label = browser.find_element(By.CSS_SELECTOR, f"label[for='{field.get_attribute('id')}']")
    assert browser.switch_to.active_element == field and "email" in label.text, "named for a screen reader, and ready to type"
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth") if "no-script" not in request.node.name else True
    picture(browser, "choose-" + request.node.callspec.id)
    field.send_keys("somebody@nowhere.example\n")
    error = wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "[role=alert]"), "the error")[0]
    assert "No organization" in error.text and browser.find_element(By.NAME, "organization").get_attribute("value") == "somebody@nowhere.example"
    picture(browser, "choose-unknown-" + request.node.callspec.id)
    field = browser.find_element(By.NAME, "organization")
    field.clear()
    field.send_keys("amelia@acme.example\n")
    wait_until(lambda: browser.current_url.startswith(site.idp_home), "the identity provider")
    if "no-script" in request.node.name:
        return
    sign_in(browser)
    arrived(browser, site.home + "/any/page?x=1")
    assert "Amelia Earhart" in browser.page_source
    browser.get(site.home + "/sso/okta/login")
    assert browser.find_element(By.NAME, "organization").get_attribute("value") == "acme", "remembered"


@LOOKS
def test_a_local_account_beside_okta(site, browser, request):
    site.expect(r"flow\.local\.wrong")
    browser.get(site.home + "/local/x")
    assert browser.find_element(By.CSS_SELECTOR, "a[href*='sso=1']").is_displayed(), "the other way in"
    picture(browser, "local-" + request.node.callspec.id)
    browser.find_element(By.NAME, "username").send_keys("ann@hooli.example")
    browser.find_element(By.NAME, "password").send_keys("wrong\n")
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "[role=alert]"), "the error")
    picture(browser, "local-wrong-" + request.node.callspec.id)
    browser.find_element(By.NAME, "username").clear()
    browser.find_element(By.NAME, "username").send_keys("ann@hooli.example")
    browser.find_element(By.NAME, "password").send_keys("ann\n")
    arrived(browser, site.home + "/local/x")
    assert "ann@hooli.example" in browser.page_source


def test_break_glass(site, browser):
    site.expect("break-glass", "OKS0001: login.*ops", "break_glass")
    browser.get(site.home + "/sso/okta/break-glass/hooli?return=/local/y")
    picture(browser, "break-glass")
    browser.find_element(By.NAME, "username").send_keys("ops")
    browser.find_element(By.NAME, "password").send_keys("ann\n")
    arrived(browser, site.home + "/local/y")


def test_a_deactivation_ends_a_session_that_somebody_looks_at(site, browser):
    site.expect(r"directory\.user\.inactive")
    login = "yamada.taro@acme.example"
    browser.get(site.home + "/work")
    sign_in(browser, login)
    arrived(browser, site.home + "/work")
    work = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(site.idp_home + "/provisioning")

    def press(action):
        page = browser.find_element(By.TAG_NAME, "html")
        browser.find_element(By.CSS_SELECTOR, f"li[data-user='{login}'] button[value='{action}']").click()
        wait_until(lambda: staleness_of(page)(browser) and browser.find_elements(By.ID, "said"), "what was done")
        return browser.find_element(By.ID, "said").text
    assert "assigned" in press("assign")
    assert "東京" in press("group")
    assert "deactivated" in press("deactivate")
    picture(browser, "provisioning")
    provisioning = browser.current_window_handle
    browser.switch_to.window(work)
    browser.refresh()
    wait_until(lambda: "directory.user.inactive" in browser.page_source, "the end of the session, and no way back by Okta's own")
    assert "deactivated" in browser.page_source
    picture(browser, "deactivated")
    browser.switch_to.window(provisioning)
    assert "reactivated" in press("reactivate")
    browser.switch_to.window(work)
    browser.get(site.home + "/work")
    arrived(browser, site.home + "/work")
    assert "山田" in browser.page_source and "東京" in browser.page_source


def test_tabs_opened_at_once_are_all_signed_in(site, browser):
    browser.get(site.home + "/sso/okta/metadata/acme")
    for number in range(4):
        browser.execute_script(f"window.open('{site.home}/tab{number}')")
    tabs = wait_until(lambda: len(browser.window_handles) == 5 and browser.window_handles[1:], "the tabs")
    for number, tab in enumerate(tabs):
        browser.switch_to.window(tab)
        wait_until(lambda: browser.find_elements(By.ID, "username") or browser.current_url.startswith(site.home + "/tab"), "a page")
        if browser.find_elements(By.ID, "username"):
            sign_in(browser, "john.doe@acme.example")
        wait_until(lambda: browser.current_url.startswith(site.home + "/tab"), "the tab's own page")
        assert "John Doe" in browser.page_source


def test_a_tile_at_the_identity_provider_signs_in_by_a_login_of_ours(site, browser):
    browser.get(site.idp_home + "/")
    sign_in(browser)
    tile = wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, ".tile"), "the tiles")[0]
    tile.click()
    wait_until(lambda: len(browser.window_handles) > 1 or browser.current_url.startswith(site.home), "the app")
    browser.switch_to.window(browser.window_handles[-1])
    arrived(browser, site.home + "/")
    assert "Amelia Earhart" in browser.page_source
    assert any("saml.response.unsolicited" in line for line in site.verdicts())


@pytest.mark.parametrize("browser", [[], ["--force-dark-mode", "--enable-features=WebContentsForceDark:inversion_method/cielab_based"],
                                     ["--window-size=500,800"]], indirect=True, ids=["light", "dark", "narrow"])
def test_a_page_that_one_may_not_see(site, browser, request):
    site.expect("httpd.request.denied", "AH01631")
    browser.get(site.home + "/sales/figures")
    sign_in(browser)
    arrived(browser, site.home + "/sales/figures")
    assert "httpd.request.denied" in browser.page_source and "may not see this page" in browser.title
    picture(browser, "refusal-" + request.node.callspec.id)
    assert browser.find_element(By.TAG_NAME, "h1").value_of_css_property("font-size") != "32px", "the style sheet was refused"


LINES = "const r = document.createRange(); r.selectNodeContents(arguments[0]); return new Set([...r.getClientRects()].map(c => c.top)).size"


def test_a_small_telephone_breaks_no_reason(site, browser):
    """Neither a button, nor the reason that somebody reads out to an administrator; the longest one stands in for all."""
    reasons = re.findall(r'^OKS_REASON\(\w+, "([^"]+)"', (harness.ROOT / "include/oktasso/reasons.def").read_text(), re.M)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 320, "height": 640, "deviceScaleFactor": 2, "mobile": False})
    browser.get(site.home + "/x")
    sign_in(browser)
    arrived(browser, site.home + "/x")
    picture(browser, "application-320")
    assert browser.execute_script(LINES, browser.find_element(By.ID, "signout")) == 1
    browser.get(site.home + "/sso/okta/nothing")
    shown = browser.find_element(By.TAG_NAME, "dd")
    browser.execute_script("arguments[0].textContent = arguments[1]", shown, max(reasons, key=len))
    picture(browser, "refusal-320")
    assert browser.execute_script(LINES, shown) == 1
    assert browser.execute_script("return document.documentElement.scrollWidth") == 320


def test_a_lost_cookie_starts_the_login_once_more(site, browser):
    browser.execute_cdp_cmd("Network.enable", {})
    browser.get(site.home + "/x")
    wait_until(lambda: browser.find_elements(By.ID, "username"), "the sign-in page")

    def forget():
        for cookie in browser.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]:
            if cookie["domain"].startswith("app.example"):
                browser.execute_cdp_cmd("Network.deleteCookies", {"name": cookie["name"], "domain": cookie["domain"]})

    forget()
    sign_in(browser)
    arrived(browser, site.home + "/x")
    assert "Amelia Earhart" in browser.page_source
    assert any("login.restart" in line and "flow.state.foreign" in line for line in site.verdicts())
