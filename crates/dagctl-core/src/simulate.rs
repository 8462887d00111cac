//! The coming runs of many DAGs on a virtual clock: what starts when, what has to wait, and what runs at once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::asset::Asset;
use crate::dag::Catchup;
use crate::ids::DagId;
use crate::schedule::Schedule;
use crate::timetable::{ClockMark, ComingRun, DueRun, Interval, Timetable, Watermark};

/// A DAG as far as the clock is concerned.
#[derive(Debug, Clone)]
pub struct SimulatedDag {
    /// Its name.
    pub dag_id: DagId,
    /// When it runs.
    pub timetable: Timetable,
    /// What happens to intervals that nobody ran.
    pub catchup: Catchup,
    /// How far its intervals have been considered.
    pub watermark: Watermark,
    /// Runs under way at once.
    pub max_active_runs: u32,
    /// How long a run takes, where that is known.
    pub duration: Option<Duration>,
    /// The tables that its runs write.
    pub writes: Vec<Asset>,
    /// Tables of which it has news already.
    pub news: Vec<Asset>,
}

/// A run that will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedRun {
    /// Its DAG's place among those simulated.
    pub dag: usize,
    /// What it is about.
    pub run: DueRun,
    /// When it is made.
    pub made_at: Timestamp,
    /// When it starts; later than `made_at` where it waits for a place below `max_active_runs`.
    pub started_at: Timestamp,
    /// When it ends; `None`: nobody knows how long it takes, and it counts as if it took no time.
    pub ended_at: Option<Timestamp>,
    /// Runs of its DAG that are under way when it starts.
    pub beside: u32,
    /// What a change of the clocks does to it.
    pub mark: Option<ClockMark>,
    /// The tables whose news it is made for.
    pub news: Vec<Asset>,
}

/// What a simulation found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// The runs that start within the time asked for, by start.
    pub runs: Vec<SimulatedRun>,
    /// When there was more than is shown: the moment it stopped at.
    pub cut_at: Option<Timestamp>,
    /// The most runs under way at once, and since when.
    pub busiest: Option<(Timestamp, u32)>,
}

/// What happens next, ordered by time; an end comes before what is made at the same moment.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ends {
        dag: usize,
        interval: (Timestamp, Timestamp),
    },
    IsDue {
        dag: usize,
    },
}

/// A DAG while the clock runs.
struct State<'a> {
    coming: Box<dyn Iterator<Item = ComingRun> + 'a>,
    next: Option<ComingRun>,
    running: u32,
    waiting: VecDeque<(Timestamp, ComingRun, Vec<Asset>)>,
    news: Vec<(Asset, Interval)>,
    has_run: bool,
}

/// Lets the clock run from `from` until `until`; stops after `most` runs.
pub fn simulate(
    dags: &[SimulatedDag],
    from: Timestamp,
    until: Timestamp,
    most: usize,
) -> Simulation {
    let mut clock = Clock::new(dags, from, until, most);
    clock.run();
    clock.found.runs.sort_by_key(|it| it.started_at);
    clock.found
}

struct Clock<'a> {
    dags: &'a [SimulatedDag],
    states: Vec<State<'a>>,
    events: BinaryHeap<Reverse<(Timestamp, Event)>>,
    until: Timestamp,
    most: usize,
    running: u32,
    found: Simulation,
}

impl<'a> Clock<'a> {
    fn new(dags: &'a [SimulatedDag], from: Timestamp, until: Timestamp, most: usize) -> Self {
        let moment = Interval {
            start: from,
            end: from,
        };
        let states = dags
            .iter()
            .map(|it| State {
                coming: Box::new(it.timetable.coming(it.catchup, &it.watermark, from)),
                next: None,
                running: 0,
                waiting: VecDeque::new(),
                news: it.news.iter().map(|it| (it.clone(), moment)).collect(),
                has_run: false,
            })
            .collect();
        let mut clock = Self {
            dags,
            states,
            events: BinaryHeap::new(),
            until,
            most,
            running: 0,
            found: Simulation::default(),
        };
        for dag in 0..dags.len() {
            clock.expect_next(dag);
            clock.continue_again(dag, from, from);
            clock.look_at_news(dag, from);
        }
        clock
    }

    fn run(&mut self) {
        while let Some(Reverse((at, event))) = self.events.pop() {
            if at > self.until {
                return;
            }
            if self.found.runs.len() >= self.most {
                self.found.cut_at = Some(at);
                return;
            }
            match event {
                Event::IsDue { dag } => {
                    if let Some(run) = self.states[dag].next.take() {
                        self.states[dag].waiting.push_back((at, run, vec![]));
                    }
                    self.start(dag, at);
                    self.expect_next(dag);
                }
                Event::Ends { dag, interval } => {
                    self.states[dag].running -= 1;
                    self.running -= 1;
                    self.start(dag, at);
                    self.look_at_news(dag, at);
                    self.continue_again(dag, interval.1.max(at), at);
                    let interval = Interval {
                        start: interval.0,
                        end: interval.1,
                    };
                    self.tell(dag, interval, at);
                }
            }
        }
    }

    fn expect_next(&mut self, dag: usize) {
        let state = &mut self.states[dag];
        state.next = state.coming.next();
        if let Some(next) = &state.next {
            self.events
                .push(Reverse((next.run_after, Event::IsDue { dag })));
        }
    }

    /// Starts runs that wait, as far as there is a place.
    fn start(&mut self, dag: usize, at: Timestamp) {
        let known = &self.dags[dag];
        while self.states[dag].running < known.max_active_runs {
            let state = &mut self.states[dag];
            let Some((made_at, coming, news)) = state.waiting.pop_front() else {
                return;
            };
            let ended_at = known.duration.and_then(|it| at.checked_add(it).ok());
            self.found.runs.push(SimulatedRun {
                dag,
                run: coming.run,
                made_at,
                started_at: at,
                ended_at,
                beside: state.running,
                mark: coming.mark,
                news,
            });
            state.has_run = true;
            state.running += 1;
            self.running += 1;
            if self
                .found
                .busiest
                .is_none_or(|(_, most)| self.running > most)
            {
                self.found.busiest = Some((at, self.running));
            }
            let interval = coming.run.interval;
            let ends = Event::Ends {
                dag,
                interval: (interval.start, interval.end),
            };
            self.events.push(Reverse((ended_at.unwrap_or(at), ends)));
        }
    }

    /// Makes the next run of a DAG that runs again and again; only the first, where nobody knows how long it takes.
    fn continue_again(&mut self, dag: usize, since: Timestamp, at: Timestamp) {
        let known = &self.dags[dag];
        let state = &self.states[dag];
        let takes_time = known
            .duration
            .is_some_and(|it| it >= Duration::from_secs(1));
        if state.running > 0 || (state.has_run && !takes_time) {
            return;
        }
        if let Some(run) = known.timetable.continuous_due(Some(since.min(at)), at) {
            self.make(dag, run, vec![], at);
        }
    }

    /// Tells DAGs that wait for what this one wrote.
    fn tell(&mut self, writer: usize, interval: Interval, at: Timestamp) {
        let dags = self.dags;
        for asset in &dags[writer].writes {
            for (dag, it) in dags.iter().enumerate() {
                let Schedule::Assets(expression) = &it.timetable.schedule else {
                    continue;
                };
                for waited in expression.assets() {
                    if waited.covers(asset) {
                        self.states[dag].news.push((waited.clone(), interval));
                    }
                }
                self.look_at_news(dag, at);
            }
        }
    }

    fn look_at_news(&mut self, dag: usize, at: Timestamp) {
        let known = &self.dags[dag];
        let state = &mut self.states[dag];
        let Schedule::Assets(expression) = &known.timetable.schedule else {
            return;
        };
        let has_place = state.running < known.max_active_runs && state.waiting.is_empty();
        if !has_place || !expression.is_met(&|it| state.news.iter().any(|(own, _)| own == it)) {
            return;
        }
        let news = std::mem::take(&mut state.news);
        let interval = Interval {
            start: news.iter().map(|it| it.1.start).min().unwrap_or(at),
            end: news.iter().map(|it| it.1.end).max().unwrap_or(at),
        };
        let mut assets: Vec<Asset> = news.into_iter().map(|it| it.0).collect();
        assets.sort();
        assets.dedup();
        let run = DueRun {
            logical_date: at,
            interval,
        };
        self.make(dag, run, assets, at);
    }

    fn make(&mut self, dag: usize, run: DueRun, news: Vec<Asset>, at: Timestamp) {
        let coming = ComingRun {
            run,
            run_after: at,
            mark: None,
        };
        self.states[dag].waiting.push_back((at, coming, news));
        self.start(dag, at);
    }
}

#[cfg(test)]
mod tests;
