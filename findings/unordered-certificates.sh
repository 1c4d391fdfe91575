#!/bin/sh
# Guess: rfc3161-client reads whatever OpenSSL's time-stamp authority sends.
# Found: where the reply carries two certificates, OpenSSL writes them in the order of its files, and rfc3161-client,
# which wants a SET OF in DER order, refuses the whole reply. CMS allows SignedData in BER. The same reply, which
# `openssl ts -verify` accepts, is read if the authority sends its own certificate alone.
# Ends with 0 while that is so, with 1 once the reply is read.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check rfc3161-client==1.0.9 cryptography==50.0.2
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj "/CN=Root" -days 30 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj "/CN=Authority" 2>/dev/null
printf 'extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n' > usage
openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile usage -out tsa.pem 2>/dev/null
echo 01 > serial
cat > tsa.cnf <<CONFIG
[tsa]
default_tsa = usual
[usual]
serial = $folder/serial
signer_cert = $folder/tsa.pem
signer_key = $folder/tsa.key
certs = $folder/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
CONFIG
echo hello > message
openssl ts -query -data message -sha256 -cert -out query.tsq 2>/dev/null
openssl ts -reply -config tsa.cnf -queryfile query.tsq -out both.tsr 2>/dev/null
grep -v '^certs' tsa.cnf > alone.cnf
openssl ts -reply -config alone.cnf -queryfile query.tsq -out alone.tsr 2>/dev/null
openssl version
venv/bin/python -m pip list --disable-pip-version-check 2>/dev/null | grep rfc3161
echo "guess: both replies are read"
openssl ts -verify -data message -in both.tsr -CAfile ca.pem 2>/dev/null | grep -q OK && echo "openssl ts -verify accepts the reply with two certificates"
venv/bin/python - <<'PYTHON'
import sys
from pathlib import Path

from rfc3161_client import decode_timestamp_response

decode_timestamp_response(Path("alone.tsr").read_bytes())
print("rfc3161-client reads the reply with one")
try:
    decode_timestamp_response(Path("both.tsr").read_bytes())
except ValueError as error:
    print(f"and refuses the one with two: {error}")
else:
    sys.exit("it reads the one with two as well by now")
PYTHON
