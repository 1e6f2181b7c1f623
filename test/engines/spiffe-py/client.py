"""The Python SPIFFE client of PyPI, for our suites: JSON on stdout, one object a line; status 1 and {"error": ...} when it fails.

    client.py version
    client.py fetch --socket ADDRESS [--audience AUDIENCE [--id SPIFFE_ID]]
    client.py watch --socket ADDRESS
    client.py validate --audience AUDIENCE --bundle TRUST_DOMAIN=JWKS_FILE ...   (tokens on stdin: {"token": ...} a line)
"""

import argparse
import base64
import importlib.metadata
import json
import pathlib
import sys
import threading

from cryptography.hazmat.primitives.serialization import Encoding
from spiffe import JwtBundle, JwtSvid, SpiffeId, TrustDomain, WorkloadApiClient
from spiffe.bundle.jwt_bundle.jwt_bundle_set import JwtBundleSet

speaking = threading.Lock()


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("version")
    for name in ("fetch", "watch"):
        command = commands.add_parser(name)
        command.add_argument("--socket", required=True)
        command.add_argument("--audience")
        command.add_argument("--id")
    judging = commands.add_parser("validate")
    judging.add_argument("--audience", required=True)
    judging.add_argument("--bundle", required=True, action="append")
    asked = parser.parse_args()
    {"version": version, "fetch": fetch, "watch": watch, "validate": validate}[asked.command](asked)


def version(_asked) -> None:
    """Says everything that is installed as requirements.txt pins it, so that a stale folder is noticed."""
    pins = pathlib.Path(__file__).with_name("requirements.txt").read_text().split()
    for pin in pins:
        name, wanted = pin.split("==")
        found = importlib.metadata.version(name)
        if found != wanted:
            raise RuntimeError(f"{name} is {found}, not {wanted}")
    print("spiffe-py", " ".join(pins))


def fetch(asked) -> None:
    client = WorkloadApiClient(asked.socket, default_timeout=20)
    said = x509_said(client.fetch_x509_context())
    said["bundles"] = {td(bundle): certificates(bundle.x509_authorities) for bundle in client.fetch_x509_bundles().bundles}
    bundles = client.fetch_jwt_bundles()
    said["jwtBundles"] = jwt_said(bundles)
    if asked.audience:
        subject = SpiffeId(asked.id) if asked.id else None
        svid = client.fetch_jwt_svid({asked.audience}, subject)
        validated = client.validate_jwt_svid(svid.token, asked.audience)
        here = JwtSvid.parse_and_validate(svid.token, bundles.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain), {asked.audience})
        said["jwt"] = {
            "id": str(svid.spiffe_id),
            "token": svid.token,
            "audience": sorted(svid.audience),
            "expires": svid.expiry * 1000,
            "validated": str(validated.spiffe_id),
            "validatedHere": str(here.spiffe_id),
        }
    client.close()
    say(said)


def watch(asked) -> None:
    """Says each update until stdin ends."""
    client = WorkloadApiClient(asked.socket)
    streams = [
        client.stream_x509_contexts(
            lambda context: say({"event": "x509", **x509_said(context)}),
            lambda error: say({"event": "x509-error", "error": str(error)}),
        ),
        client.stream_jwt_bundles(
            lambda bundles: say({"event": "jwt-bundles", "bundles": jwt_said(bundles)}),
            lambda error: say({"event": "jwt-bundles-error", "error": str(error)}),
        ),
    ]
    sys.stdin.read()
    for stream in streams:
        stream.cancel()
    client.close()


def validate(asked) -> None:
    bundles = JwtBundleSet({})
    for named in asked.bundle:
        name, _, file = named.partition("=")
        bundles.put(JwtBundle.parse(TrustDomain(name), pathlib.Path(file).read_bytes()))
    for line in sys.stdin:
        order = json.loads(line)
        say({"id": order.get("id"), **judge(order["token"], asked.audience, bundles)})


def judge(token: str, audience: str, bundles: JwtBundleSet) -> dict:
    try:
        claimed = JwtSvid.parse_insecure(token, {audience})
        bundle = bundles.get_bundle_for_trust_domain(claimed.spiffe_id.trust_domain)
        if bundle is None:
            return {"accepted": False, "why": "no bundle of that trust domain"}
        svid = JwtSvid.parse_and_validate(token, bundle, {audience})
        return {"accepted": True, "spiffeId": str(svid.spiffe_id), "expires": svid.expiry * 1000}
    except Exception as error:  # whatever it raises, it did not accept
        return {"accepted": False, "why": f"{type(error).__name__}: {error}"}


def x509_said(context) -> dict:
    svids = []
    for svid in context.x509_svids:
        leaf = svid.leaf
        svids.append(
            {
                "id": str(svid.spiffe_id),
                "chain": certificates(svid.cert_chain),
                "serial": format(leaf.serial_number, "x"),
                "expires": int(leaf.not_valid_after_utc.timestamp() * 1000),
            }
        )
    bundles = context.x509_bundle_set.bundles
    return {"svids": svids, "x509": {td(bundle): certificates(bundle.x509_authorities) for bundle in bundles}}


def jwt_said(bundles) -> dict:
    return {td(bundle): sorted(bundle.jwt_authorities) for bundle in bundles.bundles}


def td(bundle) -> str:
    return bundle.trust_domain.name


def certificates(all_of_them) -> list:
    return [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in all_of_them]


def say(line: dict) -> None:
    with speaking:
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # one line for the test, in its own words
        say({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
