"""TLS and SASL settings of Kafka clients: validates their combination. Does not open connections."""

from django.core.exceptions import ImproperlyConfigured

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def kafka_security(
    *,
    protocol: str,
    mechanism: str,
    username: str,
    password: str,
    ca_location: str,
    certificate_location: str,
    key_location: str,
    key_password: str,
) -> dict[str, str]:
    """The security options of a Kafka client, by librdkafka's names.

    Without `ca_location` the certificates of the operating system are trusted. The certificate of a broker must always
    contain its host name. Raises ImproperlyConfigured for an invalid combination; the message contains no value.
    """
    if protocol not in _PROTOCOLS:
        raise ImproperlyConfigured(f"KAFKA_SECURITY_PROTOCOL is none of {', '.join(_PROTOCOLS)}.")
    with_sasl, with_tls = protocol.startswith("SASL_"), protocol.endswith("SSL")
    if with_sasl and not (username and password):
        raise ImproperlyConfigured(
            f"KAFKA_SECURITY_PROTOCOL is {protocol}: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD."
        )
    if with_sasl and mechanism not in _MECHANISMS:
        raise ImproperlyConfigured(f"KAFKA_SASL_MECHANISM is none of {', '.join(_MECHANISMS)}.")
    # Otherwise the connection would be less secure than its operator expects.
    if not with_sasl and (username or password):
        raise ImproperlyConfigured(f"KAFKA_SASL_… is set, and KAFKA_SECURITY_PROTOCOL is {protocol}.")
    if not with_tls and (ca_location or certificate_location or key_location):
        raise ImproperlyConfigured(f"KAFKA_SSL_… is set, and KAFKA_SECURITY_PROTOCOL is {protocol}.")
    if bool(certificate_location) != bool(key_location):
        raise ImproperlyConfigured("KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION are set together.")
    known = {"security.protocol": protocol}
    if with_sasl:
        known |= {"sasl.mechanism": mechanism, "sasl.username": username, "sasl.password": password}
    files = {
        "ssl.ca.location": ca_location,
        "ssl.certificate.location": certificate_location,
        "ssl.key.location": key_location,
        "ssl.key.password": key_password,
    }
    return known | {name: value for name, value in files.items() if value}
