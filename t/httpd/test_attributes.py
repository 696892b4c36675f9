"""Attributes: what must be there, what may come odd, and what a backend then reads."""

import pytest

CONF = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOAttribute picture profile_picture
    OktaSSOHeader X-Remote-Picture picture
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
EMAIL = {"email": "amelia@acme.example"}


def seen(site, **attributes):
    browser, answer = site.login(attributes={**EMAIL, **attributes})
    assert answer.status == 303, answer.reason
    return {name: value for name, value in browser.get("/headers.json").json() if name.startswith("X-Remote")}


@pytest.mark.parametrize("count", [0, 1, 500])
def test_so_many_groups(site, count):
    groups = [f"G{number}" for number in range(count)]
    assert seen(site, groups=groups).get("X-Remote-Groups", "") == ",".join(groups)


def test_empty_and_repeated_values(site):
    assert "X-Remote-FirstName" not in seen(site, firstName="")
    assert seen(site, firstName=["", "Zoë"])["X-Remote-FirstName"] == "Zoë"
    assert seen(site, groups=["A", "", "A", "B"])["X-Remote-Groups"] in ("A,A,B", "A,B")


@pytest.mark.parametrize("first,last", [("Zoë", "Grün"), ("花子", "山田"), ("Conan", "O'Brien & Sons"), ("Мария", "Ивановна"), ("سارة", "حسن")])
def test_names_in_any_script(site, first, last):
    headers = seen(site, firstName=first, lastName=last)
    assert (headers["X-Remote-FirstName"], headers["X-Remote-LastName"]) == (first, last)


def test_xmlsoap_claims(site):
    headers = seen(site, **{"email": "", "firstName": "", "lastName": "", CLAIMS + "emailaddress": "x@acme.example", CLAIMS + "givenname": "Xenia",
                            CLAIMS + "surname": "Y"})
    assert (headers["X-Remote-Email"], headers["X-Remote-FirstName"], headers["X-Remote-LastName"]) == ("x@acme.example", "Xenia", "Y")


def test_a_picture_as_a_header_of_ones_own(site):
    assert seen(site, profile_picture="https://acme.example/a.png?s=1")["X-Remote-Picture"] == "https://acme.example/a.png?s=1"
    assert "X-Remote-Picture" not in seen(site)


@pytest.mark.parametrize("setting,attributes,said", [
    ("OktaSSOAttribute department! dept", {}, "department; map it in Okta: dept = user.dept"),
    ("OktaSSOAttribute department! dept", {"dept": ""}, "department; map it in Okta: dept = user.dept"),
    ("OktaSSOAttribute department! dept", {"dept": "Aviation"}, None),
    ("OktaSSOAttribute firstName!", {"firstName": ""}, "firstName; map it in Okta: firstName = user.firstName"),
    ("OktaSSOAttribute groups!", {"groups": []}, "groups; map it in Okta: groups = a group attribute statement"),
    ("OktaSSOAttribute firstName!", {"firstName": "Amelia"}, None),
])
def test_required(httpd, setting, attributes, said):
    site = httpd(CONF.replace("</OktaSSOOrg>", f"{setting}\n</OktaSSOOrg>"))
    if said:
        site.expect(r"flow\.attribute\.missing")
    browser, answer = site.login(attributes={**EMAIL, **attributes})
    if said:
        assert (answer.status, answer.reason) == (403, "flow.attribute.missing") and said in answer.text
        assert not browser.session_cookie()
    else:
        assert answer.status == 303


@pytest.mark.parametrize("value,passes", [("true", True), ("True", True), ("false", False), ("", False), (["true", "false"], False), (None, False)])
def test_verified_email(httpd, value, passes):
    site = httpd(CONF.replace("</OktaSSOOrg>", "OktaSSORequireVerifiedEmail On\n</OktaSSOOrg>"))
    if not passes:
        site.expect(r"flow\.email\.unverified")
    answer = site.login(attributes={**EMAIL, **({"email_verified": value} if value is not None else {})})[1]
    assert (answer.status, answer.reason) == ((303, None) if passes else (403, "flow.email.unverified"))


def test_configtest(httpd):
    for line, wanted in (("OktaSSORequireVerifiedEmail maybe", "must be On or Off"), ("OktaSSOAttribute department!", "OktaSSOAttribute email mail")):
        site = httpd(CONF.replace("</OktaSSOOrg>", f"{line}\n</OktaSSOOrg>"), start=False)
        ok, said = site.configtest()
        assert not ok and wanted in said and str(site.file) in said
