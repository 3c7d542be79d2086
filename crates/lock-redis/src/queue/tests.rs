//! What is known of a token, and for how long.

use super::*;

const LATE_AFTER: Duration = Duration::from_millis(1);
const PLACE: Place = Place {
    ticket: 1,
    rank: 0,
    counter: 1,
    holder: Holder::Has(Some(Duration::from_secs(9))),
    is_foreign: false,
};

fn queue_and_token() -> (Arc<Queue>, OwnerToken) {
    let queue = Arc::new(Queue::new(LATE_AFTER, true).unwrap());
    let token = OwnerToken::random().unwrap();
    ask(&queue, token);
    (queue, token)
}

fn ask(queue: &Queue, token: OwnerToken) -> ConnectionId {
    let connection = ConnectionId::next();
    queue.asking(token, Duration::from_secs(60), connection);
    connection
}

fn knows(queue: &Queue) -> usize {
    queue.lock().by_token.len()
}

#[test]
fn a_token_is_forgotten_when_nothing_of_it_can_be_queued() {
    let (queue, token) = queue_and_token();
    queue.granted(token);
    assert_eq!(knows(&queue), 0);

    ask(&queue, token);
    queue.failed(token, true);
    assert_eq!(knows(&queue), 0);

    ask(&queue, token);
    queue.queued(token, PLACE);
    assert_eq!(queue.leaving(token).window, Some(WINDOW_MAX));
    queue.left(token, Clock::SYSTEM.now());
    assert_eq!(knows(&queue), 0);
}

#[test]
fn a_token_in_doubt_is_known_until_a_release_that_no_attempt_can_follow() {
    let (queue, token) = queue_and_token();
    queue.failed(token, false);
    let asked = Clock::SYSTEM.now();
    ask(&queue, token);
    queue.granted(token);
    assert_eq!(queue.leaving(token).window, Some(WINDOW_MAX));
    queue.left(token, asked);
    assert_eq!(queue.leaving(token).window, Some(WINDOW_MAX));
    queue.left(token, Clock::SYSTEM.now() + LATE_AFTER);
    assert_eq!(knows(&queue), 0);
}

#[test]
fn what_was_left_and_never_released_is_swept_out() {
    let (queue, token) = queue_and_token();
    queue.failed(token, false);
    queue.leaving(token);
    for _ in 0..SWEEP_EVERY {
        let later = Clock::SYSTEM.now() + FORGOTTEN_AFTER;
        let other = OwnerToken::random().unwrap();
        queue.asking_at(later, other, Duration::from_secs(60), ConnectionId::next());
    }
    assert_eq!(queue.leaving(token).window, None);
    assert_eq!(knows(&queue), SWEEP_EVERY);
}

#[test]
fn news_that_came_before_the_wake_was_polled_is_not_missed() {
    let (queue, token) = queue_and_token();
    queue.pushed(Push::Granted { token, number: 7, window: WINDOW_MAX, next: None });
    queue.queued(token, PLACE);
    let mut news = std::pin::pin!(queue.news(token, Clock::SYSTEM));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Wake::Granted(grant)) = news.as_mut().poll(&mut context) else {
        panic!("the grant was missed");
    };
    assert_eq!(grant.fencing, FencingToken::from_grant_number(7));
    assert_eq!(knows(&queue), 0);
    // Whoever polls on is told to ask.
    assert_eq!(news.poll(&mut context), Poll::Ready(Wake::AskAgain));
}

#[test]
fn a_push_that_arrives_over_two_connections_is_believed_once() {
    for is_polled_between in [false, true] {
        let (queue, token) = queue_and_token();
        queue.queued(token, PLACE);
        let grant = || Push::Granted { token, number: 7, window: WINDOW_MAX, next: None };
        let poll = || {
            let news = std::pin::pin!(queue.news(token, Clock::SYSTEM));
            news.poll(&mut Context::from_waker(Waker::noop()))
        };
        queue.pushed(grant());
        if is_polled_between {
            assert!(matches!(poll(), Poll::Ready(Wake::Granted(_))));
            queue.pushed(grant());
        } else {
            queue.pushed(grant());
            assert!(matches!(poll(), Poll::Ready(Wake::Granted(_))));
        }
        assert_eq!(poll(), Poll::Ready(Wake::AskAgain));
        assert_eq!(knows(&queue), 0);
    }
}

#[test]
fn a_grant_that_an_answer_has_overtaken_is_no_news() {
    let (queue, token) = queue_and_token();
    let connection = ask(&queue, token);
    queue.pushed(Push::Granted { token, number: 1, window: WINDOW_MAX, next: None });
    queue.queued(token, PLACE);
    let news = std::pin::pin!(queue.news(token, Clock::SYSTEM));
    assert!(news.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    queue.on_push_lost(connection);
    let news = std::pin::pin!(queue.news(token, Clock::SYSTEM));
    let news = news.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(news, Poll::Ready(Wake::AskAgain));
}
