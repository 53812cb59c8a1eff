"""F22: the web servers are replaced one after the other under load."""

from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

_READY_WITHIN_SECONDS = 30.0


class RollingRestart(Fault):
    """SIGTERM to one of two servers behind a load balancer, a new one is started, then the other."""

    number = "F22"
    in_short = False
    title = "rolling restart by SIGTERM"
    protection = "a server that is to end says so and serves on for a while"
    control_shows = "was lost while the servers were replaced"
    gap_seconds = (0.3, 1.0)
    most_shots = 10

    def variant(self) -> Variant:
        return Variant(web_servers=2, settings={"WEB_ENDING_SECONDS": "2"})

    def control(self) -> Variant:
        return Variant(web_servers=2, settings={"WEB_ENDING_SECONDS": "0"})

    def strike(self, run: Run) -> str:
        balancer = run.shop.balancer
        assert balancer is not None
        replaced = []
        for web, port in zip(run.shop.webs, run.shop.web_ports, strict=True):
            if not run.wait_until(
                lambda: all(map(balancer.is_ready, run.shop.web_ports)), seconds=_READY_WITHIN_SECONDS
            ):
                raise NotFired(f"not both servers were ready before the one at port {port} was to go")
            before = web.pid
            web.stop()
            web.start()
            replaced.append(f"{before} by {web.pid}")
        return f"web server {', '.join(replaced)}"

    def judge(self, run: Run) -> list[str]:
        return [
            f"{call} was lost while the servers were replaced" for call in run.history.calls if call.status is None
        ][:10]
