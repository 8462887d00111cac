//! Puts questions to the database in groups: whatever was asked while the last group was on its way is the next one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Questions of type `Q` with answers of type `A`. Alone, a question is asked at once.
pub(crate) struct Grouped<Q, A> {
    shared: Arc<Mutex<Shared<Q, A>>>,
    most: usize,
}

struct Shared<Q, A> {
    waiting: VecDeque<(Q, oneshot::Sender<A>)>,
    is_asking: bool,
}

impl<Q: Send + 'static, A: Send + 'static> Grouped<Q, A> {
    /// Groups of at most `most`.
    pub(crate) fn new(most: usize) -> Self {
        let shared = Shared {
            waiting: VecDeque::new(),
            is_asking: false,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            most,
        }
    }

    /// Waits for the answer. `answer` takes a group and gives as many answers, in order; `None` where it gives fewer,
    /// or panics.
    pub(crate) async fn ask<F, Answers>(&self, question: Q, answer: F) -> Option<A>
    where
        F: Fn(Vec<Q>) -> Answers + Send + 'static,
        Answers: Future<Output = Vec<A>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let is_first = {
            let mut shared = lock(&self.shared);
            shared.waiting.push_back((question, sender));
            !std::mem::replace(&mut shared.is_asking, true)
        };
        if is_first {
            // A task of its own: who asked first may go away before the others have their answers.
            tokio::spawn(answer_all(self.shared.clone(), self.most, answer));
        }
        receiver.await.ok()
    }
}

async fn answer_all<Q, A, F, Answers>(shared: Arc<Mutex<Shared<Q, A>>>, most: usize, answer: F)
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Fn(Vec<Q>) -> Answers,
    Answers: Future<Output = Vec<A>> + Send + 'static,
{
    loop {
        let (questions, senders): (Vec<_>, Vec<_>) = {
            let mut shared = lock(&shared);
            if shared.waiting.is_empty() {
                shared.is_asking = false;
                return;
            }
            let count = shared.waiting.len().min(most);
            shared.waiting.drain(..count).unzip()
        };
        // Those who wait learn of a panic by their senders' end, and it stops nobody else.
        if let Ok(answers) = tokio::spawn(answer(questions)).await {
            for (sender, answer) in senders.into_iter().zip(answers) {
                let _ = sender.send(answer);
            }
        }
    }
}

fn lock<Q, A>(shared: &Mutex<Shared<Q, A>>) -> MutexGuard<'_, Shared<Q, A>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<Q, A> std::fmt::Debug for Grouped<Q, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grouped").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_is_asked_while_a_group_is_on_its_way_is_the_next_group() {
        let grouped = Arc::new(Grouped::new(3));
        let (gate, groups) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(vec![])));
        let ask = |question: usize| {
            let (grouped, gate, groups) = (grouped.clone(), gate.clone(), groups.clone());
            tokio::spawn(async move {
                let answer = move |questions: Vec<usize>| {
                    let (gate, groups) = (gate.clone(), groups.clone());
                    async move {
                        groups.lock().unwrap().push(questions.clone());
                        gate.acquire().await.unwrap().forget();
                        questions.iter().map(|it| it * 10).collect()
                    }
                };
                grouped.ask(question, answer).await
            })
        };
        let mut asked = vec![ask(0)];
        while groups.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        for question in 1..6 {
            asked.push(ask(question));
            while lock(&grouped.shared).waiting.len() < question {
                tokio::task::yield_now().await;
            }
        }
        gate.add_permits(3);
        for (question, answer) in asked.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), Some(question * 10));
        }
        let groups = groups.lock().unwrap().clone();
        assert_eq!(groups, [vec![0], vec![1, 2, 3], vec![4, 5]]);
    }

    #[tokio::test]
    async fn a_panic_is_no_answer_and_the_next_question_has_one() {
        let grouped = Grouped::new(3);
        let answer = |questions: Vec<i32>| async move {
            assert_ne!(questions, [1], "asked for");
            questions
        };
        assert_eq!(grouped.ask(1, answer).await, None);
        assert_eq!(grouped.ask(2, answer).await, Some(2));
    }
}
