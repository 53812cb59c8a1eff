"""The sinks: one per destination. A sink makes the calls; the dispatcher decides on order and retries."""
