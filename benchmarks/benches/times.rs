//! How long the functions of the hot path take.

use criterion::{Criterion, criterion_group, criterion_main};

fn times(criterion: &mut Criterion) {
    for benchmark in benchmarks::all() {
        let name = benchmark.name();
        let mut work = benchmark.prepare();
        criterion.bench_function(name, |bencher| bencher.iter(&mut work));
    }
}

criterion_group!(all, times);
criterion_main!(all);
