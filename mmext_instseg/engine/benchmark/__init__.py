from .attention import AttentionMemory, attention_memory
from .complexity import Complexity, complexity_rows, count_complexity
from .decode import USUAL, decode_by_loop, decode_cases
from .detectors import Detector, Setting, build_model, make_detector, read_config, read_model
from .embedding_decode import decode_by_full_dbscan, embedding_decode_cases, extrapolate
from .embedding_loops import LOOPS
from .embedding_losses import embedding_loss_cases
from .embedding_stages import StagedModel, StageTimes, plot_stages, stage_rows, time_stages
from .measurement import Case, Measurement, describe_machine, measure
from .pe_decode import decode_pe_by_loop, pe_decode_cases
from .phrases import phrase_cases
from .race import Lap, check_results, prove_equal, run_race
from .race_report import attention_rows, lap_rows, plot_race, race_rows
from .report import measurement_rows, plot_measurements
from .targets import target_cases
from .zoo import TIMED, Entry, Racer, Standing, explain, run_zoo_race
from .zoo_report import plot_zoo, ratios_to_first, zoo_csv, zoo_rows
from .zoo_scores import Truth

__all__ = [
    'LOOPS',
    'TIMED',
    'USUAL',
    'AttentionMemory',
    'Case',
    'Complexity',
    'Detector',
    'Entry',
    'Lap',
    'Measurement',
    'Racer',
    'Setting',
    'StageTimes',
    'StagedModel',
    'Standing',
    'Truth',
    'attention_memory',
    'attention_rows',
    'build_model',
    'check_results',
    'complexity_rows',
    'count_complexity',
    'decode_by_full_dbscan',
    'decode_by_loop',
    'decode_cases',
    'decode_pe_by_loop',
    'describe_machine',
    'embedding_decode_cases',
    'embedding_loss_cases',
    'explain',
    'extrapolate',
    'lap_rows',
    'make_detector',
    'measure',
    'measurement_rows',
    'pe_decode_cases',
    'phrase_cases',
    'plot_measurements',
    'plot_race',
    'plot_stages',
    'plot_zoo',
    'prove_equal',
    'race_rows',
    'ratios_to_first',
    'read_config',
    'read_model',
    'run_race',
    'run_zoo_race',
    'stage_rows',
    'target_cases',
    'time_stages',
    'zoo_csv',
    'zoo_rows',
]
