//! fst (the Rust crate, version 0.4), beside images: the size of a set of the keys and of a map to their
//! numbers, and finding and visiting all, which lie in memory. It prints what other measuring programs print.
//!
//! usage: bench_fst --keys FILE --name NAME [--runs N]
use fst::{IntoStreamer, Map, MapBuilder, Set, SetBuilder, Streamer};
use std::time::Instant;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}
extern "C" {
    fn clock_gettime(clock: i32, to: *mut Timespec) -> i32;
}

/// Nanoseconds that the calling thread has run.
fn cpu() -> u64 {
    let mut t = Timespec { seconds: 0, nanoseconds: 0 };
    let of_the_thread = 3;
    assert_eq!(unsafe { clock_gettime(of_the_thread, &mut t) }, 0);
    t.seconds as u64 * 1_000_000_000 + t.nanoseconds as u64
}

fn keys_of(path: &str) -> Vec<Vec<u8>> {
    let all = std::fs::read(path).expect("the key file");
    let (mut keys, mut at) = (Vec::new(), 0);
    while at < all.len() {
        let len = u32::from_le_bytes(all[at..at + 4].try_into().unwrap()) as usize;
        keys.push(all[at + 4..at + 4 + len].to_vec());
        at += 4 + len;
    }
    keys
}

/// The order of all other programs.
fn shuffled(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let mut x: u64 = 88172645463325252;
    for i in (1..=n).rev().take_while(|&i| i > 1) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        order.swap(i - 1, (x % i as u64) as usize);
    }
    order
}

fn measure(name: &str, op: &str, runs: usize, n: usize, mut work: impl FnMut() -> u64, expected: u64) {
    let (mut wall, mut own) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (start, before) = (Instant::now(), cpu());
        let sum = work();
        own.push((cpu() - before) as f64 / n as f64);
        wall.push(start.elapsed().as_nanos() as f64 / n as f64);
        assert_eq!(sum, expected, "{}: another sum of values", op);
    }
    for (prefix, mut times) in [("", wall), ("cpu_", own)] {
        times.sort_by(|a, b| a.partial_cmp(b).unwrap());
        println!("fst\t{}\t{}\t{}ns_per_key_min\t{:.6}", name, op, prefix, times[0]);
        println!("fst\t{}\t{}\t{}ns_per_key_med\t{:.6}", name, op, prefix, times[runs / 2]);
    }
}

fn main() {
    let (mut path, mut name, mut runs) = (String::new(), String::new(), 3);
    let mut arguments = std::env::args().skip(1);
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        match option.as_str() {
            "--keys" => path = value,
            "--name" => name = value,
            "--runs" => runs = value.parse().expect("a number of runs"),
            _ => panic!("unknown option {}", option),
        }
    }
    println!("# program bench_fst");
    let keys = keys_of(&path);
    let n = keys.len();
    let order = shuffled(n);
    let mut sorted: Vec<usize> = (0..n).collect();
    sorted.sort_by(|&a, &b| keys[a].cmp(&keys[b]));
    let (mut set, mut map) = (SetBuilder::memory(), MapBuilder::memory());
    for &i in &sorted {
        set.insert(&keys[i]).expect("keys in order");
        map.insert(&keys[i], i as u64).expect("keys in order");
    }
    let (set, map) = (set.into_inner().unwrap(), map.into_inner().unwrap());
    println!("fst\t{}\tsize_of_set\tbytes_per_key\t{:.6}", name, set.len() as f64 / n as f64);
    println!("fst\t{}\tsize\tbytes_per_key\t{:.6}", name, map.len() as f64 / n as f64);
    let (set, map) = (Set::new(set).unwrap(), Map::new(map).unwrap());
    assert_eq!(set.len(), n);
    let expected = (n as u64 * (n as u64 - 1)) / 2;
    let get = || order.iter().map(|&i| map.get(&keys[i]).unwrap_or(0)).sum();
    measure(&name, "get", runs, n, get, expected);
    let iterate = || {
        let (mut sum, mut all) = (0, map.into_stream());
        while let Some((_, value)) = all.next() {
            sum += value;
        }
        sum
    };
    measure(&name, "iterate", runs, n, iterate, expected);
}
