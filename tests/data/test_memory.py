from frostline.data.memory import available_memory


def test_memory_is_a_plausible_number_of_bytes() -> None:
    assert 1 << 20 < available_memory() < 1 << 50
