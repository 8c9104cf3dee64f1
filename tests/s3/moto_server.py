"""moto's server, which then verifies signatures over what was sent.

moto 5.2.1 decodes path and query before it verifies: with authentication on, its answer to every
request that needs an escape (prefix=AWSLogs%2F of any client) is SignatureDoesNotMatch. Here its own
verification is given the request line as it came, and nothing else is touched.
"""

import threading

from moto import server
from moto.iam.access_control import IAMRequestBase

sent = threading.local()


def keep_what_was_sent(application):
    def call(self, environ, start):
        sent.line = environ["REQUEST_URI"]
        return application(self, environ, start)

    return call


def verify_what_was_sent(create):
    def call(self):
        self._path = sent.line
        return create(self)

    return call


dispatcher = server.DomainDispatcherApplication
dispatcher.__call__ = keep_what_was_sent(dispatcher.__call__)
IAMRequestBase._create_aws_request = verify_what_was_sent(IAMRequestBase._create_aws_request)

if __name__ == "__main__":
    server.main()
