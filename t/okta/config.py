"""Users, groups and apps (one app is one organization's connection) of the stand-in, from Python or from JSON."""

import dataclasses
import json
import pathlib
from typing import Optional

from . import saml

PASSWORD = "okta-demo"


@dataclasses.dataclass
class User:
    login: str
    first_name: str
    last_name: str
    groups: list = dataclasses.field(default_factory=list)
    email: str = ""
    display_name: str = ""
    password: str = PASSWORD
    note: str = ""                       # shown beside the user on the sign-in page
    # Attributes that this user's Responses carry beside those of the app: {name: value or list}
    attributes: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.email = self.email or self.login
        self.display_name = self.display_name or f"{self.first_name} {self.last_name}"

    def value(self, expression):
        """What an attribute statement of Okta gives: a profile variable, or else the literal text (OKTA.md B.1.4)."""
        return {
            "user.login": self.login, "user.email": self.email, "user.firstName": self.first_name,
            "user.lastName": self.last_name, "user.displayName": self.display_name,
        }.get(expression, expression)


@dataclasses.dataclass
class App:
    exk: str                             # "exk" and 17 letters or digits
    name: str                            # the {appName} of the SSO URL
    label: str
    acs: str                             # the Single sign-on URL
    audience: str                        # Audience URI (SP Entity ID)
    org: str = "acme"                    # CN of the certificate
    entity_id: str = ""                  # "SAML Issuer ID"; default http://www.okta.com/{exk}
    requestable: list = dataclasses.field(default_factory=list)   # Other Requestable SSO URLs, by index
    name_id: str = "user.login"          # Application username
    name_id_format: str = saml.UNSPECIFIED
    default_relay_state: Optional[str] = ""
    users: list = dataclasses.field(default_factory=list)         # assigned by login; ["*"]: everyone
    groups: list = dataclasses.field(default_factory=lambda: ["Everyone"])   # assigned by group
    attributes: dict = dataclasses.field(default_factory=lambda: {
        "email": "user.email", "firstName": "user.firstName", "lastName": "user.lastName"})
    group_attribute: Optional[str] = "groups"
    group_filter: Optional[list] = None  # [STARTS_WITH | EQUALS | CONTAINS, value]

    def __post_init__(self):
        self.entity_id = self.entity_id or f"http://www.okta.com/{self.exk}"

    def assigned(self, user):
        return "*" in self.users or user.login in self.users or bool(set(user.groups) & set(self.groups))

    def groups_of(self, user):
        if self.group_filter is None:
            return list(user.groups)
        kind, value = self.group_filter
        test = {"STARTS_WITH": lambda g: g.startswith(value), "EQUALS": lambda g: g == value,
                "CONTAINS": lambda g: value in g}[kind]
        return [group for group in user.groups if test(group)]

    def attributes_of(self, user):
        """{name: value or list}; an attribute without a value is not sent."""
        out = {name: user.value(expression) for name, expression in self.attributes.items()}
        if self.group_attribute:
            out[self.group_attribute] = self.groups_of(user)
        out.update(user.attributes)
        return {name: value for name, value in out.items() if value not in ("", [])}


def default_users():
    return [
        User("amelia.earhart@acme.example", "Amelia", "Earhart", ["Everyone", "Engineering", "Okta-Admins"],
             note="Okta-Admins"),
        User("john.doe@acme.example", "John", "Doe", ["Everyone", "Sales"], note="Sales"),
        User("zoe.gruen@acme.example", "Zoë", "Grün", ["Everyone", "Engineering", "Köln, Büro"],
             note="Umlauts, a comma in a group"),
        User("yamada.taro@acme.example", "太郎", "山田", ["Everyone", "東京"], display_name="山田 太郎",
             note="Japanese names", attributes={"displayName": "山田 太郎"}),
        User("many.groups@acme.example", "Many", "Groups",
             ["Everyone"] + [f"Team {number:03d}" for number in range(1, 121)], note="121 groups"),
        User("special.john@acme.example", "#John", "Do`e¥", ["Everyone"], display_name="#John Do`e¥",
             note="Special symbols in the name", attributes={"displayName": "#John Do`e¥"}),
        User("eve@evil.example", "Eve", "Outsider", ["Everyone"], note="Another email domain"),
        User("carl.contractor@acme.example", "Carl", "Contractor", ["Contractors"], note="Not assigned to the app"),
    ]


def default_app(acs, audience=None, **fields):
    """The organization acme. The audience defaults to the metadata URL beside the ACS (DESIGN.md section 2)."""
    values = {"exk": "exkacme0standin0a697", "name": "acme_webapp_1", "label": "Acme Web App", "acs": acs,
              "audience": audience or acs.replace("/acs/", "/metadata/")}
    return App(**{**values, **fields})


def load(path):
    """(apps, users) of a JSON file {"apps": [...], "users": [...]}; without users the default ones."""
    data = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    unknown = set(data) - {"apps", "users"}
    if unknown:
        raise ValueError(f"{path}: unknown {sorted(unknown)}; known: apps, users")
    users = [User(**fields) for fields in data["users"]] if "users" in data else default_users()
    return [App(**fields) for fields in data.get("apps", [])], users
