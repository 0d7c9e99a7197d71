"""The order in which test files begin."""

SLOW = (
    "study/test_study.py",
    "notebooks/test_course_explorers.py",
    "test_plugins.py",
    "search/test_survival.py",
    "search/test_executors.py",
    "search/test_generations.py",
    "search/test_run.py",
    "search/test_mask_search.py",
    "report/test_report.py",
    "report/test_processes.py",
    "masks/test_architectures.py",
    "export/test_export.py",
    "device/test_search_on_device.py",
    "bench/test_bench_tasks.py",
    "bench/test_bench_early.py",
    "bench/test_bench_limit.py",
    "docs/test_findings.py",
    "app/test_app_pages.py",
    "search/test_plan.py",
    "search/test_kinds_of_tasks.py",
    "stats/test_confidence.py",
    "study/test_factors.py",
)
"""The files that take longest. They begin first, so that all processes of a test run end at about the same time."""
