//! That each property can fail: run against a driver that is broken in the way the property is there for, it does, and
//! for that reason.

mod faulty;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use b4ae_tokio::Placement;

use self::faulty::{Fault, Faulty};
use crate::driver::Driver;
use crate::properties::properties;
use crate::{blocking, futures};

/// Requires that `property` fails on a driver with `fault`, and that what it says has `why` in it.
fn fails(group: &str, property: fn(&dyn Driver), fault: Fault, inner: Box<dyn Driver>, why: &str) {
    let driver = Box::new(Faulty::new(inner, fault));
    let mut outcome = Ok(());
    crate::check(group, property, |property| outcome = catch_unwind(AssertUnwindSafe(|| property(&*driver))));
    let panic = outcome.expect_err("the property holds for a driver that is broken");
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(said.contains(why), "{fault:?} is noticed for another reason: {said}");
}

/// The sound drivers that faults are put into: one whose calls block, and one whose loop is a task.
fn thread() -> Box<dyn Driver> {
    Box::new(blocking::Blocking)
}

fn task() -> Box<dyn Driver> {
    futures::Async::boxed(futures::Tokio::new(Placement::Runtime))
}

/// One test a line, and the names of all properties in it.
macro_rules! broken {
    ($($name:ident: $fault:ident, $inner:ident => $group:ident :: $property:ident, $why:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let property = crate::properties::$group::$property;
                fails(stringify!($group), property, Fault::$fault, $inner(), $why);
            }
        )*

        const NOTICED: &[&str] = &[$(stringify!($property)),*];
    };
}

macro_rules! names {
    ($($group:ident :: $property:ident),* $(,)?) => {
        [$(stringify!($property)),*]
    };
}

#[test]
fn every_property_has_a_driver_that_it_fails_on() {
    let all = BTreeSet::from(properties!(names));
    let noticed: BTreeSet<_> = NOTICED.iter().copied().collect();
    assert_eq!(all, noticed);
}

broken! {
    a_lost_message: LosesMessages, thread
        => messages::messages_of_every_length_go_both_ways_in_order_and_once, "";
    a_doubled_message: DoublesMessages, thread
        => messages::messages_of_every_length_go_both_ways_in_order_and_once, "message 1 is the next";
    a_reordered_message: ReordersMessages, task
        => messages::messages_of_every_length_go_both_ways_in_order_and_once, "";
    the_wrong_mode: TellsTheWrongMode, thread
        => messages::both_sides_know_each_other_and_the_mode, "the mode that was offered";
    another_offer: OffersModeAOnly, thread
        => messages::without_being_asked_an_endpoint_offers_the_signed_mode_first, "the signed mode comes first";
    an_early_confirmation: ConfirmsAtOnce, thread
        => messages::only_what_arrived_is_confirmed, "what did not arrive is not confirmed";
    an_early_flush: FlushesAtOnce, task
        => messages::only_what_arrived_is_confirmed, "what did not arrive is not flushed";
    no_backpressure: TakesEverything, thread
        => messages::a_receiver_that_does_not_take_holds_the_sender_back_and_loses_nothing, "are held somewhere";
    a_message_lost_for_want_of_room: LosesWhenFull, task
        => messages::a_receiver_that_does_not_take_holds_the_sender_back_and_loses_nothing, "";
    a_message_cut_short: CutsLongMessages, thread
        => messages::a_message_over_the_limit_is_refused_and_the_session_goes_on, "the limit is named";
    clones_that_send_nothing: HasDeafClones, thread
        => messages::clones_of_a_peer_are_one_session, "nothing happens any more";
    handles_that_are_not_counted: ClosesWithAnyHandle, thread
        => messages::clones_of_an_endpoint_are_one_socket, "";
    a_message_lost_with_a_recv: LosesOnRecvGivenUp, thread
        => cancel::a_recv_given_up_loses_no_message, "is the next";
    a_message_lost_with_a_recv_of_a_task: LosesOnRecvGivenUp, task
        => cancel::a_recv_given_up_loses_no_message, "is the next";
    a_message_sent_though_given_up: SendsThoughGivenUp, thread
        => cancel::a_send_given_up_has_sent_nothing_and_one_that_returned_has, "is what was sent";
    a_session_lost_with_an_accept: LosesOnAcceptGivenUp, task
        => cancel::an_accept_given_up_loses_no_session, "";
    a_place_kept_by_a_connect: ConnectsThoughGivenUp, thread
        => cancel::a_connect_given_up_gives_its_place_up, "the place is never given up";
    an_endpoint_ended_by_a_connect: StopsOnConnectGivenUp, thread
        => cancel::a_connect_given_up_at_any_point_leaves_a_working_endpoint, "";
    a_confirmation_lost_with_its_wait: ForgetsConfirmations, thread
        => cancel::a_wait_for_a_confirmation_can_be_taken_up_again, "nothing happens any more";
    a_close_forgotten: ForgetsToClose, thread
        => cancel::a_close_given_up_goes_on_if_it_began, "nothing happens any more";
    a_peer_that_cuts_off: CutsOffPeersOnDrop, thread
        => lifecycle::dropping_the_last_handle_of_a_peer_delivers_what_is_queued_and_closes, "";
    a_loop_that_looks_in_slots_alone: HandsOutInSlotsAlone, thread
        => lifecycle::what_waited_for_room_is_there_when_no_slot_comes_any_more, "nothing happens any more";
    a_close_that_waits_for_room: ClosesWhenThereIsRoom, thread
        => lifecycle::a_peer_that_takes_nothing_keeps_no_session_that_is_to_close, "whoever closes is told";
    a_drop_that_waits_for_room: DropsWhenThereIsRoom, thread
        => lifecycle::a_peer_that_takes_nothing_keeps_no_session_that_is_to_close, "the place is free again";
    a_full_queue_cut_off: CutsOffPeersOnDrop, task
        => lifecycle::a_peer_that_takes_its_time_gets_what_was_queued_before_the_close, "is the next";
    an_endpoint_that_cuts_off: CutsOffOnDrop, thread
        => lifecycle::dropping_the_last_handle_of_an_endpoint_delivers_what_is_queued_and_stops, "";
    a_stop_that_is_not_told: NeverTellsTheEnd, thread
        => lifecycle::closing_an_endpoint_frees_its_port_and_stops_every_handle, "whoever waited is told";
    an_end_that_is_not_told: NeverTellsTheEnd, thread
        => lifecycle::closing_a_peer_tells_both_sides_and_refuses_more, "whoever closes is told";
    messages_lost_with_a_close: LosesMessages, thread
        => lifecycle::whoever_closes_still_gets_all_that_was_confirmed, "what was confirmed is not lost";
    messages_forgotten_with_their_session: ForgetsWhatEnded, thread
        => lifecycle::messages_of_a_session_that_ended_before_it_was_accepted_are_kept, "what was confirmed is there";
    another_end: TellsTheWrongEnd, thread
        => lifecycle::a_peer_that_is_gone_without_a_word_ends_the_session, "the reason is told";
    an_executors_end_that_is_not_told: NeverTellsTheEnd, task
        => lifecycle::the_end_of_the_loops_executor_wakes_whoever_waits, "whoever waited is told";
    another_port: BindsElsewhere, thread => network::a_port_in_use_is_named, "the port is taken";
    another_address: BindsElsewhere, thread => network::an_address_of_another_machine_is_named, "the address is not ours";
    junk_that_is_not_counted: CountsNothing, thread => network::junk_is_counted_and_survived, "junk is counted";
    an_endpoint_ended_by_a_closed_port: StopsOnErrors, thread
        => network::a_closed_port_is_a_failed_connect_and_nothing_more, "the endpoint goes on";
    an_endpoint_ended_by_a_peer: StopsWhenAPeerIsGone, thread
        => network::a_peer_whose_port_is_closed_harms_no_other_session, "";
    an_endpoint_ended_by_an_address: StopsOnErrors, task
        => network::an_address_that_cannot_be_sent_to_is_counted_and_survived, "the endpoint goes on";
    errors_that_are_not_counted: CountsNoErrors, thread
        => network::an_address_that_cannot_be_sent_to_is_counted_and_survived, "errors of sending are counted";
    a_peer_that_is_somebody_else: AsksNoFingerprint, thread
        => network::the_wrong_fingerprint_gets_no_answer, "bob is somebody else";
    an_error_with_another_name: MisnamesErrors, thread => network::a_name_that_does_not_exist_is_named, "Unreachable";
    no_resolver: KnowsNoNames, thread => network::a_host_name_is_resolved, "localhost is here";
    one_family: ServesOneFamily, thread
        => network::the_unspecified_address_serves_both_families, "bob is there in both families";
    a_wake_for_each_message: WakesOnSend, thread
        => waking::on_a_constant_grid_sending_and_receiving_never_wakes_the_loop, "messages wake no loop";
    no_wake_without_a_grid: WakesNever, thread => waking::without_a_grid_a_message_leaves_at_once, "the loop is woken";
    slots_that_are_not_counted: CountsNoSlots, thread
        => waking::the_statistics_tell_how_slots_are_kept, "twenty cells at least";
    a_busy_wait: WaitsBusily, thread
        => waking::whoever_waits_runs_when_there_is_something_and_not_before, "nothing happened, and whoever waited ran";
    a_busy_wait_of_a_task: WaitsBusily, task
        => waking::whoever_waits_runs_when_there_is_something_and_not_before, "nothing happened, and whoever waited ran";
    one_wake_for_several: WakesOne, thread => waking::everyone_who_waits_is_woken, "whoever waits is woken";
    everybody_behind_a_signer: HoldsEverybodyUp, thread => jobs::a_signer_that_takes_its_time_holds_nobody_else_up, "";
    an_endpoint_ended_by_a_signer: StopsOnErrors, thread
        => jobs::a_signer_that_panics_fails_the_handshake_and_nothing_else, "";
    one_lane_for_all_jobs: HasOneLane, thread
        => jobs::a_signer_that_never_signs_hinders_neither_mode_a_nor_the_end, "whoever dials is told";
    an_endpoint_ended_by_a_signer_that_never_signs: StopsOnErrors, thread
        => jobs::a_signer_that_never_signs_hinders_neither_mode_a_nor_the_end, "";
    a_loop_that_signs: SignsInTheLoop, thread
        => jobs::a_signer_that_never_signs_stops_no_departure, "cells go on leaving";
    a_socket_kept: KeepsTheSocket, thread
        => resources::closed_and_dropped_endpoints_leave_no_threads_no_files_and_no_ports, "";
    a_thread_kept: KeepsAThread, task
        => resources::closed_and_dropped_endpoints_leave_no_threads_no_files_and_no_ports, "";
    a_loop_that_spins: Spins, thread
        => resources::an_idle_endpoint_runs_for_its_slots_and_no_more, "of the processor";
}
