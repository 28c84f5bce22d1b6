"""The fault campaign: ``make chaos``.

people     somebody who makes missions and meddles with them
faults     what goes wrong, and when
oracle     what must be true when everything has come to its end
campaign   rounds: people and faults together, then calm, then the oracle
report     what was injected, what was checked, what was wrong
"""
