//! What every driver has to do.

pub(crate) mod cancel;
pub(crate) mod jobs;
pub(crate) mod lifecycle;
pub(crate) mod messages;
pub(crate) mod network;
pub(crate) mod resources;
pub(crate) mod waking;

/// Hands the names of all properties to the macro named.
macro_rules! properties {
    ($then:ident) => {
        $then! {
            messages::messages_of_every_length_go_both_ways_in_order_and_once,
            messages::both_sides_know_each_other_and_the_mode,
            messages::without_being_asked_an_endpoint_offers_the_signed_mode_first,
            messages::only_what_arrived_is_confirmed,
            messages::a_receiver_that_does_not_take_holds_the_sender_back_and_loses_nothing,
            messages::a_message_over_the_limit_is_refused_and_the_session_goes_on,
            messages::clones_of_a_peer_are_one_session,
            messages::clones_of_an_endpoint_are_one_socket,
            cancel::a_recv_given_up_loses_no_message,
            cancel::a_send_given_up_has_sent_nothing_and_one_that_returned_has,
            cancel::an_accept_given_up_loses_no_session,
            cancel::a_connect_given_up_gives_its_place_up,
            cancel::a_connect_given_up_at_any_point_leaves_a_working_endpoint,
            cancel::a_wait_for_a_confirmation_can_be_taken_up_again,
            cancel::a_close_given_up_goes_on_if_it_began,
            lifecycle::dropping_the_last_handle_of_a_peer_delivers_what_is_queued_and_closes,
            lifecycle::what_waited_for_room_is_there_when_no_slot_comes_any_more,
            lifecycle::a_peer_that_takes_nothing_keeps_no_session_that_is_to_close,
            lifecycle::a_peer_that_takes_its_time_gets_what_was_queued_before_the_close,
            lifecycle::dropping_the_last_handle_of_an_endpoint_delivers_what_is_queued_and_stops,
            lifecycle::closing_an_endpoint_frees_its_port_and_stops_every_handle,
            lifecycle::closing_a_peer_tells_both_sides_and_refuses_more,
            lifecycle::whoever_closes_still_gets_all_that_was_confirmed,
            lifecycle::messages_of_a_session_that_ended_before_it_was_accepted_are_kept,
            lifecycle::a_peer_that_is_gone_without_a_word_ends_the_session,
            lifecycle::the_end_of_the_loops_executor_wakes_whoever_waits,
            network::a_port_in_use_is_named,
            network::an_address_of_another_machine_is_named,
            network::junk_is_counted_and_survived,
            network::a_closed_port_is_a_failed_connect_and_nothing_more,
            network::a_peer_whose_port_is_closed_harms_no_other_session,
            network::an_address_that_cannot_be_sent_to_is_counted_and_survived,
            network::the_wrong_fingerprint_gets_no_answer,
            network::a_name_that_does_not_exist_is_named,
            network::a_host_name_is_resolved,
            network::the_unspecified_address_serves_both_families,
            waking::on_a_constant_grid_sending_and_receiving_never_wakes_the_loop,
            waking::without_a_grid_a_message_leaves_at_once,
            waking::the_statistics_tell_how_slots_are_kept,
            waking::whoever_waits_runs_when_there_is_something_and_not_before,
            waking::everyone_who_waits_is_woken,
            jobs::a_signer_that_takes_its_time_holds_nobody_else_up,
            jobs::a_signer_that_panics_fails_the_handshake_and_nothing_else,
            jobs::a_signer_that_never_signs_hinders_neither_mode_a_nor_the_end,
            jobs::a_signer_that_never_signs_stops_no_departure,
            resources::closed_and_dropped_endpoints_leave_no_threads_no_files_and_no_ports,
            resources::an_idle_endpoint_runs_for_its_slots_and_no_more,
        }
    };
}
pub(crate) use properties;
