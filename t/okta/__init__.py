"""A local stand-in for Okta (OKTA.md B.1): an identity provider for tests and for the demo.

    from okta import client, config
    with client.started(tmp_path, apps=[config.default_app("http://127.0.0.1:8080/sso/okta/acs/acme")]) as okta:
        okta.metadata_url(), okta.mint(user="john.doe@acme.example"), okta.control(next={"preset": "expired"})
"""
